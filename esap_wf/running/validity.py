"""Whether a result is valid: its size, its schema, and the workflow's own verdict. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.errors import EsapError
from esap_wf.formats import documents, schemas
from esap_wf.formats.quantities import human_count
from esap_wf.models.manifest import Output
from esap_wf.runs.trees import Tree

#: Name, whether it was passed, and a detail.
Check = dict[str, object]


@dataclass(frozen=True)
class Judgement:
    """Checks that were made, and what is wrong."""

    checks: list[Check] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Validity:
    """
    Checks of the results of one run.

    Parameters
    ----------
    tree : Tree
        The run directory.
    snapshot : Path
        The workflow's folder in it: schemas of outputs stand there.
    warnings : list of str
        Gets those of the workflow's verdicts.
    """

    def __init__(self, tree: Tree, snapshot: Path, warnings: list[str]) -> None:
        self.tree, self.snapshot, self.warnings = tree, snapshot, warnings
        self._verdicts: dict[str, Judgement] = {}

    def of_file(self, path: Path, output: Output) -> Judgement:
        """By the size and the schema that an output has."""
        name, size = self.tree.name(path), self._size(path)
        if size < output.min_bytes:
            what = f"{name} has {human_count(size, 'byte')}, but at least {output.min_bytes} are expected"
            return Judgement(problems=[what])
        if not output.schema:
            return Judgement()
        try:
            file = self.snapshot / output.schema
            check = schemas.validator(documents.load(file, schema=True).data, file, self.snapshot)
            problems = schemas.problems(check, documents.load(path))
        except EsapError as error:
            return Judgement(problems=[f"{name}: {error}"])
        made: Check = {"name": f"schema {output.schema}", "passed": not problems}
        return Judgement([made], [str(p) for p in problems])

    def _size(self, path: Path) -> int:
        if not path.is_dir():
            return path.stat().st_size
        return sum(p.stat().st_size for p in self.tree.below(path) if not p.is_dir())

    def of_verdict(self, name: str) -> Judgement:
        """By a file of the workflow's own; read once."""
        if name not in self._verdicts:
            try:
                self._verdicts[name] = self._read_verdict(name)
            except EsapError as error:
                self._verdicts[name] = Judgement(problems=[f"the verdict {name} can't be read: {error}"])
            except (KeyError, TypeError, AttributeError):
                what = f"the verdict {name} does not have the form that docs/workflows.md describes"
                self._verdicts[name] = Judgement(problems=[what])
        return self._verdicts[name]

    def _read_verdict(self, name: str) -> Judgement:
        data = documents.load(self.tree.run / name).data
        checks = [{k: c[k] for k in ("name", "passed", "detail") if k in c} for c in data.get("checks", [])]
        self.warnings += [str(w) for w in data.get("warnings", []) if str(w) not in self.warnings]
        against = [
            f"check failed: {c['name']}" + (f" ({c['detail']})" if c.get("detail") else "")
            for c in checks
            if not c["passed"]
        ]
        if data["valid"] is None and not against:
            self.warnings.append(f"the workflow's verdict {name} says: not judged")
        elif data["valid"] is not True and not against:
            against = [f"the workflow's verdict {name} says: not valid"]
        return Judgement(checks, against)
