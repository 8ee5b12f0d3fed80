# Defaults of a workflow's parameters, for runs that were not rendered by esap-wf (which fills them in itself).
import json as _json
from pathlib import Path as _Path

from snakemake.exceptions import WorkflowError


def fill_defaults(config, schema_file):
    """Complete `config` from the parameter schema; this is not a validation, which esap-wf does before a run."""
    schema = _json.loads(_Path(schema_file).read_text(encoding="utf-8"))
    for name, parameter in schema["properties"].items():
        if name in config:
            continue
        if "default" not in parameter:
            raise WorkflowError(f"the configuration lacks `{name}` ({parameter.get('title', 'no title')})")
        config[name] = parameter["default"]
    config.setdefault("inputs", {})
