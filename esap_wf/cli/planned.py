"""
A plan as people read it: one screen that says what, where, how long and how much; all of it with --verbose.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from esap_wf.cli.output import columns
from esap_wf.cli.text import duplicate_text
from esap_wf.cli.times import lasting, local
from esap_wf.formats.printing import clipped, one_line
from esap_wf.formats.quantities import human_bytes, human_cores, human_count, human_seconds
from esap_wf.formats.summaries import core_hours

if TYPE_CHECKING:
    from esap_wf.models.place import Queue
    from esap_wf.models.plan import Allocation, Plan, Volume

#: Inputs, parameters and files shown before the rest is only counted; earlier runs, warnings and inputs of
#: one screen.
SHOWN, FEW = 12, 3
#: Columns at most and at least, and lines of one entry.
WIDTH, LEAST, LINES = 96, 60, 4


def plan_screen(plan: Plan, defaults: Mapping[str, Any], units: Mapping[str, str]) -> str:
    """
    A plan in one screen.

    Parameters
    ----------
    plan : Plan
    defaults : mapping
        Parameters that have the value which they have anyway; they are only counted.
    units : mapping
        Of parameters.
    """
    changed = {k: v for k, v in plan.parameters.items() if k not in defaults or defaults[k] != v}
    rest = len(plan.parameters) - len(changed)
    shown = ", ".join(_changed(v, k, defaults, units) for k, v in changed.items())
    rows = [("what", f"{plan.workflow} {plan.version}: {plan.title}")]
    rows += [("from", plan.reference)] if plan.reference else []
    if plan.parameters:
        rows.append(
            (
                "parameters",
                f"{shown}; {rest} at the default"
                if shown and rest
                else shown or f"{rest}, all at their defaults",
            )
        )
    given = [(n, refs) for n, refs in plan.inputs.items() if refs]
    for name, refs in given[:FEW]:
        rows.append(
            (
                f"input {name}",
                refs[0].given + (f" and {len(refs) - 1} more" if len(refs) > 1 else ""),
            )
        )
    if len(given) > FEW:
        rows.append(("", f"and {human_count(len(given) - FEW, 'more input')}"))
    if plan.volume.files:
        rows.append(("data", volume_text(plan.volume)))
    far = [(o.backend, o.moves) for o in plan.offers if isinstance(o.moves, int) and o.fits]
    if far:
        each = ", ".join(f"{human_bytes(moved)} to {name}" for name, moved in far[:FEW])
        rows.append(("", f"it is not near everywhere: {each} would have to be moved"))
    others = [o for o in plan.offers if o.backend != plan.backend]
    fits = [o.backend for o in others if o.fits]
    where = (
        plan.backend
        + (f" (also fits: {', '.join(fits)})" if fits else "")
        + f", with {plan.engine.name} {plan.engine.version}"
    )
    rows.append(("where", where))
    if plan.queue is not None:
        rows.append(("jobs", _jobs_text(plan.queue)))
    begins = [o.starts for o in plan.offers if o.backend == plan.backend and isinstance(o.starts, str)]
    rows += [("begins", f"{local(begins[0])}, as {plan.backend} expects it now")] if begins else []
    if plan.engine.place:
        rows.append(("pieces", pieces_text(plan)))
    rows += [("", f"not {o.backend}: {'; '.join(o.reasons)}") for o in others[:FEW] if not o.fits]
    if plan.sharding.size:
        rows.append(("shards", shards_text(plan)))
    usual = {"python": "a Python environment", "installed": "as installed on this machine"}
    usual = {} if plan.engine.place else usual
    software = usual.get(plan.software.route, plan.software.detail)
    rows.append(("software", software + ("" if plan.software.ready else ", which is built first (once)")))
    a = plan.allocation
    rows.append(("how long", time_text(plan)))
    rows.append(("how much", cost_text(plan)))
    rows.append(("each may use" if plan.slicing.slices > 1 else "may use", _allowed(a, "of memory")))
    found = plan.duplicates
    rows.append(("found before", duplicate_text(found[0]) if found else "no earlier run like this"))
    rows += [("", duplicate_text(d)) for d in found[1:FEW]]
    rows += [("", f"and {len(found) - FEW} more")] if len(found) > FEW else []
    rows += [("warning", w) for w in plan.warnings[:FEW]]
    rows += (
        [("", f"and {human_count(len(plan.warnings) - FEW, 'more warning')}: --verbose")]
        if len(plan.warnings) > FEW
        else []
    )
    rows.append(("valid until", local(plan.expires)))
    return _laid_out(rows)


def _changed(value: object, name: str, defaults: Mapping[str, Any], units: Mapping[str, str]) -> str:
    """A parameter that is not as by default, with what it would be: ``zenith = 40 deg (default 20 deg)``."""
    text, usual = (f"{_plainly(v)} {units.get(name, '')}".rstrip() for v in (value, defaults.get(name)))
    return f"{name} = {text}" + (f" (default {usual})" if defaults.get(name) is not None else "")


def _plainly(value: object) -> str:
    """A number as it would be typed: 40, not 40.0."""
    return (
        str(int(value))
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        else str(value)
    )


def _laid_out(rows: Sequence[tuple[str, str]]) -> str:
    """
    Keys, and texts that are folded beside them; as wide as the terminal; what is longer than some lines ends
    with …
    """
    width = min(24, max(len(k) for k, _ in rows))
    lines = []
    for key, text in rows:
        room = max(LEAST, min(WIDTH, columns())) - width - 2
        parts = textwrap.wrap(
            one_line(text), room, max_lines=LINES, placeholder=" …", break_on_hyphens=False
        ) or [""]
        head = clipped(one_line(key), width)
        lines += [f"{head if i == 0 else '':<{width}}  {part}" for i, part in enumerate(parts)]
    return "\n".join(lines)


def pieces_text(plan: Plan) -> str:
    """Into how many pieces a run is cut, and why."""
    s = plan.slicing
    cut = f"{s.slices} slices, and one that joins them" if s.slices > 1 else "one"
    return f"{cut}: {s.why}" if s.why else cut


def shards_text(plan: Plan) -> str:
    """How many units share a job, and why."""
    s = plan.sharding
    return f"{human_count(s.shards, 'job')} of {human_count(s.size, 'unit')}: {s.why}"


def _jobs_text(queue: Queue) -> str:
    """Where an engine submits the jobs of its steps."""
    named = {
        "partition": queue.partition,
        "account": queue.account,
        "QOS": queue.qos,
        "features": queue.constraint,
        "reservation": queue.reservation,
    }
    where = ", ".join(f"{what} {name}" for what, name in named.items() if name)
    at_most = f"at most {human_count(queue.jobs, 'job')} at a time"
    return f"submitted to {queue.kind}{f' ({where})' if where else ''}, {at_most}"


def time_text(plan: Plan) -> str:
    """How long it takes, and how that is known; unknown where nobody says."""
    e = plan.estimate
    if not e.core_hours:
        return "unknown: the workflow has no estimate, and none of its runs has been measured yet"
    basis = (
        f"from {human_count(e.measured_runs, 'earlier run')}"
        if e.measured_runs
        else "estimated by the workflow's own model"
    )
    about = f"about {lasting(e.wall_seconds)}" if e.wall_seconds >= 1 else "less than 1 s"
    return f"{about} ({basis}), {human_count(plan.units, 'unit')}"


def cost_text(plan: Plan) -> str:
    """Core-hours, memory and disk; those that nobody knows are told as such."""
    e = plan.estimate
    parts = [
        f"about {core_hours(e.core_hours)}".replace("about less", "less")
        if e.core_hours
        else "unknown core-hours"
    ]
    parts.append(f"{human_bytes(e.memory_bytes)} of memory" if e.memory_bytes else "unknown memory")
    parts.append(f"{human_bytes(e.disk_bytes)} of disk space" if e.disk_bytes else "unknown disk space")
    return ", ".join(parts) if e.core_hours or e.memory_bytes or e.disk_bytes else "unknown"


def script_text(scripts: Mapping[str, str]) -> str:
    """The scripts of a run's pieces; several, each below a line that says of which slice it is."""
    if len(scripts) == 1:
        return next(iter(scripts.values()))
    return "\n".join(
        f"# --- {f'slice {name}' if name[:1].isdecimal() or name == 'join' else name} ---\n{text}"
        for name, text in scripts.items()
    )


def start_line(
    words: Sequence[str],
    store: str | None = None,
    asked: Mapping[str, str] | None = None,
    saved: str | None = None,
) -> str:
    """
    The command that starts what was planned, quoted for a shell.

    Parameters
    ----------
    words : sequence of str
        What was given to `plan`.
    store : str, optional
        As it was given.
    asked : mapping, optional
        Parameters that were typed at a prompt.
    saved : str, optional
        Where the plan was saved.
    """
    head = ["esap-wf", *(["--store", store] if store else []), "run"]
    if saved:
        return shlex.join([*head, "--plan", saved])
    cut = words.index("--") if "--" in words else len(words)
    own, skip = list[str](), False
    for word in words[:cut]:
        if skip or word in _ONLY_PLANS or word.startswith("--output="):
            skip = False
        elif word in _OUTPUT:
            skip = True
        else:
            own.append(word)
    own += [w for name, value in (asked or {}).items() for w in ("--param", f"{name}={value}")]
    return shlex.join([*head, *own, *words[cut:]])


#: Words of `plan` that `run` does not take, and those that a file follows.
_ONLY_PLANS, _OUTPUT = {"--verbose", "-v", "--json", "--print-script"}, {"-o", "--output"}


def plan_text(plan: Plan) -> str:
    """All of a plan, as `esap-wf plan --verbose` shows it."""
    e, a = plan.estimate, plan.allocation
    needs = f"{human_bytes(e.memory_bytes)} memory, {human_bytes(e.disk_bytes)} disk"
    rows: list[tuple[str, str]] = [
        ("workflow", f"{plan.workflow} {plan.version}: {plan.title}"),
        *([("source", plan.reference)] if plan.reference else []),
        ("parameters", ", ".join(one_line(f"{k} = {v}") for k, v in plan.parameters.items()) or "none"),
    ]
    rows += [
        (
            f"input {n}",
            ", ".join(r.given for r in refs[:3]) + (f" and {len(refs) - 3} more" if len(refs) > 3 else ""),
        )
        for n, refs in plan.inputs.items()
        if refs
    ]
    if plan.selected:
        rows.append(("selected", ", ".join(f"{k} = {v}" for k, v in plan.selected.items())))
    learned = f" (corrected by {human_count(e.measured_runs, 'earlier run')})" if e.measured_runs else ""
    rows += [
        ("units", str(plan.units)),
        (
            "estimate",
            (
                f"{e.core_hours:.3g} core-hours, {human_seconds(e.wall_seconds)}, {needs}"
                if e.core_hours
                else f"unknown core-hours; {needs}"
            )
            + learned,
        ),
        (
            "asks for",
            _allowed(a, "memory"),
        ),
        *([("pieces", pieces_text(plan))] if plan.engine.place else []),
        ("engine", f"{plan.engine.name} {plan.engine.version} ({plan.engine.found}: {plan.engine.path})"),
        ("software", f"{plan.software.route}: {plan.software.detail}"),
    ]
    rows += [("", f"not {refused}") for refused in plan.software.refused]
    for offer in plan.offers:
        mark = " (chosen)" if offer.backend == plan.backend else ""
        rows.append(
            (
                f"backend {offer.backend}",
                ("fits" + mark) if offer.fits else "does not fit: " + "; ".join(offer.reasons),
            )
        )
    rows += [("digest", plan.digest.identity), ("code", plan.code)]
    if plan.digest.science:
        rows.append(
            (
                "science",
                f"{plan.digest.science}: "
                + ", ".join(f"{k} = {v}" for k, v in plan.digest.science_values.items()),
            )
        )
    rows += [("earlier run", duplicate_text(d)) for d in plan.duplicates]
    rows += [
        ("command", shlex.join(plan.command)),
        (
            "files",
            ", ".join(plan.files[:SHOWN])
            + (f" and {len(plan.files) - SHOWN} more" if len(plan.files) > SHOWN else ""),
        ),
    ]
    rows += [("warning", w) for w in plan.warnings]
    rows.append(("valid until", plan.expires))
    width = max(len(k) for k, _ in rows)
    return "\n".join(f"{k:<{width}}  {v}" for k, v in rows)


def volume_text(volume: Volume) -> str:
    """What of the inputs has to be brought, in a line."""
    much = f", {human_bytes(volume.bytes)}" if volume.bytes else ""
    parts = [f"{human_count(volume.files, 'file')} from elsewhere{much}"]
    if volume.here == volume.files:
        return f"{parts[0]}: all here already"
    missing = f"{human_bytes(volume.missing_bytes)} to be brought"
    missing += f", and {human_count(volume.unknown, 'file')} of unknown size" if volume.unknown else ""
    parts.append(missing)
    if volume.here:
        parts.append(f"{volume.here} here already")
    if volume.cold:
        parts.append(f"{volume.cold} to be recalled from tape, about {human_seconds(volume.recall_seconds)}")
    return "; ".join(parts)


def _allowed(a: Allocation, memory: str) -> str:
    """What a run, or each piece of it, may use."""
    amounts = [
        _of(human_cores(a.cores), "cores", a),
        _of(f"{human_bytes(a.memory_bytes)} {memory}", "memory", a),
        _of(human_seconds(a.wall_seconds), "wall", a),
    ]
    amounts += [human_count(a.gpus, "GPU")] if a.gpus else []
    amounts += [human_count(a.nodes, "node")] if a.nodes > 1 else []
    return ", ".join(amounts)


def _of(amount: str, name: str, allocation: Allocation) -> str:
    """An amount and where it comes from."""
    return f"{amount} ({allocation.origin[name]})" if name in allocation.origin else amount
