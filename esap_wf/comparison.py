"""In what two runs differ. Used by the verb diff; reads run directories."""

from __future__ import annotations

from typing import Any

import msgspec

from esap_wf import files
from esap_wf.models.plan import Plan
from esap_wf.runs.store import Run


def compare(one: Run, two: Run) -> list[tuple[str, str, str]]:
    """
    Differences of request, plan, state and outputs.

    Returns
    -------
    list of (what, first, second)
        Empty if nothing differs but ids and times.
    """
    a, b = _facts(one), _facts(two)
    return [(k, str(a.get(k, "-")), str(b.get(k, "-"))) for k in dict.fromkeys([*a, *b]) if a.get(k) != b.get(k)]


def _facts(run: Run) -> dict[str, Any]:
    plan, state = files.read_json(run.dir / "plan.json", Plan), run.observe()
    facts: dict[str, Any] = {"phase": state.phase, "workflow": plan.workflow, "version": plan.version, "code": plan.code[:16]}
    facts |= {f"parameter {k}": v for k, v in plan.parameters.items()}
    facts |= {f"selected {k}": v for k, v in plan.selected.items()}
    for name, refs in plan.inputs.items():
        facts[f"input {name}"] = [r.checksum for r in refs]
    facts |= {
        "engine": f"{plan.engine.name} {plan.engine.version}",
        "software": f"{plan.software.route} {' '.join(plan.software.bin_dirs)}".strip(),
    }
    facts |= {"backend": plan.backend, "allocation": msgspec.to_builtins(plan.allocation)}
    outputs = run.outputs()
    facts |= {f"output {o.path}": o.sha256[:16] for o in (outputs.outputs if outputs else [])}
    return facts
