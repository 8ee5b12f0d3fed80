"""In what two runs differ. Reads run directories."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.models.plan import Plan
from esap_wf.models.run import json_line
from esap_wf.planning import numbers
from esap_wf.runs.store import Run

#: Differences of one result that are named.
SHOWN = 5


def compare(one: Run, two: Run) -> list[tuple[str, str, str]]:
    """
    Differences of request, plan, state and outputs.

    Returns
    -------
    list of (what, first, second)
        Empty if nothing differs but ids and times.
    """
    a, b = _facts(one), _facts(two)
    found = [
        (k, str(a.get(k, "-")), str(b.get(k, "-"))) for k in dict.fromkeys([*a, *b]) if a.get(k) != b.get(k)
    ]
    return [row for what, x, y in found for row in _by_numbers(one, two, (what, x, y))]


def _by_numbers(one: Run, two: Run, row: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    """Of a result whose author declares how it is compared: what differs by more than the tolerance."""
    path = row[0].removeprefix("output ")
    plan = files.read_json(one.dir / "plan.json", Plan)
    rule = next(
        (o.compare for o in plan.outputs if row[0] == f"output {path}" and fnmatchcase(path, o.path)), None
    )
    if rule is None or not all((run.dir / path).is_file() for run in (one, two)):
        return [row]
    differences = numbers.differing(one.dir / path, two.dir / path, rule)
    if not differences:
        return []
    more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    return [(*row[:2], f"{row[2]} ({'; '.join(differences[:SHOWN])}{more})")]


def _facts(run: Run) -> dict[str, Any]:
    plan, state = files.read_json(run.dir / "plan.json", Plan), run.observe()
    facts: dict[str, Any] = {
        "phase": state.phase,
        "workflow": plan.workflow,
        "version": plan.version,
        "code": plan.code[:16],
    }
    facts |= {f"parameter {k}": v for k, v in plan.parameters.items()}
    facts |= {f"selected {k}": v for k, v in plan.selected.items()}
    for name, refs in plan.inputs.items():
        facts[f"input {name}"] = [r.checksum for r in refs]
    facts |= {
        "engine": f"{plan.engine.name} {plan.engine.version}",
        "software": f"{plan.software.route} {' '.join(plan.software.bin_dirs)}".strip(),
    }
    facts |= {"cpu": run.record().cpu}
    facts |= {"backend": plan.backend, "allocation": msgspec.to_builtins(plan.allocation)}
    outputs = run.outputs()
    facts |= {f"output {o.path}": o.sha256[:16] for o in (outputs.outputs if outputs else [])}
    facts |= {
        f"value {name}": json_line(value) for name, value in (outputs.values if outputs else {}).items()
    }
    return facts
