# Runs any Snakemake workflow of this repository with nothing but Snakemake:
#     snakemake --cores 2 --configfile config.yaml
# where config.yaml says `workflow: <name>` and the workflow's parameters. See docs/workflows.md.
from pathlib import Path as _Path

from snakemake.exceptions import WorkflowError

_folder = _Path(str(workflow.current_basedir)) / "workflows"
_known = sorted(path.parent.name for path in _folder.glob("*/Snakefile"))
_name = config.get("workflow")

# The name becomes a path: only one that is in the list gets there, so `../x` and its like do not.
if _name not in _known:
    raise WorkflowError(
        f"`workflow` in the configuration is {_name!r}; it must be one of: {', '.join(_known)}. "
        "Give a configuration with `snakemake --configfile config.yaml`."
    )

# The statement `include:` would leave the run without a target: first rules of included files do not count.
workflow.include(f"workflows/{_name}/Snakefile", overwrite_default_target=True)
