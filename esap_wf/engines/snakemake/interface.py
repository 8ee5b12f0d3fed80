"""The interface of a Snakemake pipeline without a manifest: from ``configfile:``, the schemas that it
validates with, and ``rule all``.

The Snakefile is read, not executed (`esap_wf.engines.snakemake.snakefile`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from esap_wf.code import repositories, roots
from esap_wf.engines import Interface
from esap_wf.engines.snakemake import snakefile
from esap_wf.engines.snakemake.configuration import Configuration
from esap_wf.engines.snakemake.declarations import Declarations
from esap_wf.engines.snakemake.outputs import outputs_of, target_of

_NAMES = ("Snakefile", "workflow/Snakefile")


def find(path: Path) -> tuple[Path, Path] | None:
    """Snakefile and own folder of a pipeline; None if there is none."""
    if path.is_dir():
        file = next((path / n for n in _NAMES if (path / n).is_file()), None)
        return (file, path) if file else None
    if path.is_file() and (path.name.startswith("Snakefile") or path.suffix == ".smk"):
        return path, path.parent.parent if path.parent.name == "workflow" else path.parent
    return None


def derive(path: Path, item: str | None) -> Interface | None:
    """
    The interface of the pipeline at a path.

    Parameters
    ----------
    path : Path
    item : str, optional
        The rule that is the target.

    Raises
    ------
    UsageError
        It is broken.
    """
    found = find(path)
    if found is None:
        return None
    file, own = (p.absolute() for p in found)
    declared = snakefile.read_snakefile(file, own)
    at_top = _at_top(file, own, declared)
    root, notes = roots.root_of(
        file, own, sure=at_top or any(not f.is_relative_to(own) for f in declared.files)
    )
    if root != own:
        declared = snakefile.read_snakefile(file, root)  # what it says is named relative to the repository
    workdir = root if at_top else own
    config = Configuration(root, workdir, declared)
    folder = workdir.relative_to(root).as_posix()
    outputs = outputs_of(declared, target_of(declared, item, file), folder, config.flat)
    warnings = [*declared.warnings, *config.warnings, *notes]
    if declared.conda:
        warnings.append(
            "its rules name conda environments, which are not built: their software is taken from PATH "
            "(or give Snakemake its own option: -- --software-deployment-method conda)"
        )
    if workdir != own:
        where = "the top of its repository" if folder == "." else folder
        warnings.append(f"it runs in {where}, where its configuration is")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": config.properties,
        "required": config.required,
    }
    return Interface(
        root=root,
        file=file.relative_to(root).as_posix(),
        name=own.name,
        schema=schema,
        inputs=config.inputs,
        outputs=tuple(outputs.found.values()),
        workdir="" if folder == "." else folder,
        named=tuple(_named(root, workdir, declared, config)),
        requires=declared.requires,
        images=tuple(dict.fromkeys(declared.images)),
        origins={**config.origins, **outputs.origins},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _at_top(file: Path, own: Path, declared: Declarations) -> bool:
    """
    Whether Snakemake is started at the top of the repository, not in the pipeline's own folder as one would
    in a clone.

    A README may say ``snakemake -s FOLDER/Snakefile``: it is so if the configuration is there, and only
    there.
    """
    top = repositories.top_of(file)
    files = [
        text.value for text, _ in declared.configfiles if text.literal and not text.value.startswith("/")
    ]
    return bool(
        top
        and files
        and not any((own / f).is_file() for f in files)
        and all((top / f).is_file() for f in files)
    )


def _named(root: Path, workdir: Path, declared: Declarations, config: Configuration) -> Iterator[str]:
    """
    Files that the pipeline reads for sure, although git may ignore them: what it includes, configuration,
    defaults of inputs.
    """
    made = {t.value for rule in declared.rules for t in rule.directives.get("output", [])}
    found = [*declared.files, *config.files]
    found += [
        workdir / t.value
        for rule in declared.rules
        for t in rule.directives.get("input", [])
        if t.literal and t.value not in made
    ]
    for path in found:
        normal = Path(os.path.normpath(path))
        if normal.is_relative_to(root) and normal != root and normal.exists():
            yield normal.relative_to(root).as_posix()
