"""Saved plans: read, and compared with what would be planned now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.catalogue import workflows
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats.printing import clipped
from esap_wf.formats.quantities import human_bytes, human_seconds
from esap_wf.models.plan import EngineChoice, Plan, checksum
from esap_wf.planning import making
from esap_wf.request.validation import validate


def read_intact_plan(path: Path) -> Plan:
    """
    The plan of a run.

    Raises
    ------
    UsageError
        Broken, of a newer version, or edited by hand.
    """
    plan = read_plan(path)
    if plan.checksum != checksum(plan):
        raise UsageError(
            "the plan was edited by hand",
            [
                Problem(
                    str(path), "its checksum does not match its content", "change the request and plan again"
                )
            ],
        )
    return plan


def read_plan(path: Path) -> Plan:
    """
    A saved plan, to be held against the present by `confirm_fresh`; UsageError if it is broken or of a newer
    version.
    """
    plan = files.read_json(path, Plan)
    for name, text in (("created", plan.created), ("expires", plan.expires)):
        try:
            has_zone = datetime.fromisoformat(text).tzinfo is not None
        except ValueError:
            has_zone = False
        if not has_zone and plan.checksum == checksum(plan):  # of one that was edited, more is said
            raise UsageError(
                f"{path} is broken",
                [Problem(f"{path}: {name}", f"{text[:80]!r} is not a time with a time zone", "plan again")],
            )
    return plan


def confirm_fresh(plan: Plan, config: Config) -> None:
    """
    Make sure that a saved plan still says what would run: all of it is held against a new plan of its
    request, so that an edited one is validated as any request, whatever its checksum says.

    Raises
    ------
    RefusedError
        It is stale or was edited: says what changed.
    """
    edited = plan.checksum != checksum(plan)
    if not edited and datetime.fromisoformat(plan.expires) < datetime.now(UTC):
        raise RefusedError(
            "the plan is stale", [Problem("expires", f"it was valid until {plan.expires}", ANEW)]
        )
    try:
        workflow = workflows.of_plan(config, plan)
        valid, problems = validate(plan.request, config, workflow=workflow)
        if not problems:
            problems = changes(plan, as_drawn(plan, making.make(plan.request, config, valid), workflow))
    except UsageError as error:
        problems = error.problems or [Problem("plan", error.message)]
    if edited:
        what = "was edited by hand: its checksum does not match its content"
        raise RefusedError(
            "the plan is stale", [Problem("plan", what, "change the request and plan again"), *problems]
        )
    if problems:
        raise RefusedError("the plan is stale", problems)


def as_drawn(plan: Plan, fresh: Plan, workflow: Workflow) -> Plan:
    """
    A new plan of a request that holds a drawn seed, with what makes the saved one identical to no other.
    """
    if not plan.nonce or workflow.manifest.random is None:
        return fresh
    digest = msgspec.structs.replace(fresh.digest, deterministic=False, science=None)
    return making.sealed(msgspec.structs.replace(fresh, nonce=plan.nonce, digest=digest))


ANEW = "make a new plan"
#: What two plans of one request need not have in common.
OF_THE_MOMENT = {"created", "expires", "checksum", "duplicates", "offers", "estimate", "warnings"}
#: What changes without anybody's doing, and how it is called.
_CHANGING = {
    "code": "code of the workflow",
    "version": "version of the workflow",
    "engine": "engine",
    "command": "command",
    "selected": "selected values",
    "software": "software",
    "backend": "backend",
    "units": "units",
}


def changes(saved: Plan, fresh: Plan) -> list[Problem]:
    """What is no longer as a saved plan says, or never was: every field is compared. Empty if it may run."""
    if saved.digest.scheme != fresh.digest.scheme:
        return [
            Problem(
                "digest",
                (
                    "the plan was made by another version of esap-wf, which computes the identity of runs "
                    "differently"
                ),
                ANEW,
            )
        ]
    was, is_now = _facts(saved), _facts(fresh)
    found = []
    for name in is_now:
        if name in OF_THE_MOMENT or name == "inputs" or was[name] == is_now[name]:
            continue
        if name in _CHANGING:
            old, new = (p.engine if name == "engine" else f[name] for p, f in ((saved, was), (fresh, is_now)))
            found.append(Problem(_CHANGING[name], f"was {_short(old)}, is now {_short(new)}", ANEW))
        else:
            found.append(
                Problem(
                    name,
                    f"says {_json(was[name])}; a new plan of its request says {_json(is_now[name])}",
                    ANEW,
                )
            )
    found += _changed_inputs(saved, fresh)
    return [p for p in found if p.where != "digest"] or found  # it follows from the others


#: What else may change without another run: the identity holds, and the run keeps how it is called.
_OF_A_RUN = OF_THE_MOMENT | {"digest", "request"}


def differs(old: Plan, new: Plan) -> bool:
    """
    Whether an identical plan would run otherwise than another: by other resources, from another place, by
    another route.
    """
    was, is_now = _facts(old), _facts(new)
    for facts in (was, is_now):
        facts["asked"] = {
            k: v for k, v in facts["request"].items() if k not in ("name", "tags", "results", "parameters")
        }
    return any(was[name] != is_now[name] for name in is_now if name not in _OF_A_RUN)


def differences(old: Plan, new: Plan) -> list[str]:
    """In what two identical plans differ that a user may have asked for."""
    a, b = old.allocation, new.allocation
    pairs: list[tuple[str, ...]] = [
        ("cores", str(a.cores), str(b.cores)),
        ("memory", human_bytes(a.memory_bytes), human_bytes(b.memory_bytes)),
        ("time", human_seconds(a.wall_seconds), human_seconds(b.wall_seconds)),
        ("GPUs", str(a.gpus), str(b.gpus)),
        ("nodes", str(a.nodes), str(b.nodes)),
        ("slices", str(old.slicing.slices), str(new.slicing.slices)),
        ("units a shard", *(str(p.sharding.size or "") for p in (old, new))),
        ("engine", *(f"{p.engine.name} {p.engine.version} at {p.engine.path}" for p in (old, new))),
        *_software(old, new),
        ("backend", old.backend, new.backend),
    ]
    for name in new.inputs:
        pairs.append(
            (
                f"input {name}",
                *(", ".join(r.path or r.uri for r in p.inputs.get(name, [])) for p in (old, new)),
            )
        )
    return _different(pairs)


def made_otherwise(old: Plan, new: Plan) -> list[str]:
    """In what the software of results that are there differs from what would be taken now."""
    return _different(
        [("engine", *(f"{p.engine.name} {p.engine.version}" for p in (old, new))), *_software(old, new)]
    )


def _software(old: Plan, new: Plan) -> list[tuple[str, ...]]:
    if _facts(old)["software"] == _facts(new)["software"]:
        return []  # its description may say what of it was ready
    return [("software", *(f"{p.software.route}: {p.software.detail}" for p in (old, new)))]


def _different(pairs: list[tuple[str, ...]]) -> list[str]:
    return [f"{what} {was or 'none'} → {is_now or 'none'}" for what, was, is_now in pairs if was != is_now]


def _changed_inputs(saved: Plan, fresh: Plan) -> Iterator[Problem]:
    was, is_now = making.content(saved.inputs), making.content(fresh.inputs)
    for name in sorted(saved.inputs.keys() | fresh.inputs.keys()):
        paths = ", ".join(r.path or r.uri for r in fresh.inputs.get(name, [])) or "nothing"
        if was.get(name) != is_now.get(name):
            yield Problem(f"input {name}", f"its content changed since the plan was made: {paths}", ANEW)
        elif saved.inputs.get(name) != fresh.inputs.get(name):
            yield Problem(
                f"input {name}",
                f"the plan describes a different file from the one that its request names: {paths}",
                ANEW,
            )


def _facts(plan: Plan) -> dict[str, Any]:
    """
    A plan as it is read again, with what of the software decides what runs: not whether an image was made
    ready meanwhile.
    """
    stored: Plan = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    images = {"": stored.software.container, **stored.software.images}
    route = (
        stored.software.route,
        stored.software.bin_dirs,
        {n: (c.runtime, c.reference, c.digest) for n, c in images.items() if c},
    )
    return {
        **{name: msgspec.to_builtins(getattr(stored, name)) for name in Plan.__struct_fields__},
        "software": route,
    }


def _short(value: object) -> str:
    if isinstance(value, EngineChoice):
        return f"{value.name} {value.version} at {value.path}"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return clipped(text, 120)


def _json(value: object) -> str:
    return clipped(json.dumps(value, ensure_ascii=False), 200)
