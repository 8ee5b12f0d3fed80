"""What a run was made from and with: parameters, inputs, software, identity; and how it is run again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import __version__
from esap_wf.errors import EsapError
from esap_wf.formats import reading
from esap_wf.formats.quantities import human_bytes, human_count
from esap_wf.models.manifest import Manifest
from esap_wf.models.plan import ContainerChoice, Plan
from esap_wf.models.request import DataRef
from esap_wf.models.run import Phase, RunRecord, State, json_line
from esap_wf.running.render import MANIFEST, folder_of
from esap_wf.running.report.markup import Page, add, code, is_there, lines, link, number

#: Bytes of a manifest or schema that are read for their titles.
_LIMIT = 4_000_000
#: Files of a run that people look for, if they are there.
_FILES = {
    "logs/engine.log": "what the engine said",
    "logs/supervisor.log": "what esap-wf said",
    "logs/": "logs of the steps",
    "logs/nextflow-report.html": "the engine's own report",
    "outputs.json": "results with sizes and checksums",
    "plan.json": "what was decided",
    "request.json": "what was asked for",
    "command.sh": "the bare engine's command",
    "events.jsonl": "what happened when",
}
#: Words of a command that are shown.
_WORDS = 400


def manifest_of(folder: Path) -> Manifest | None:
    """The manifest that the run was planned with; None of an old run, or of one by a later version."""
    try:
        return msgspec.json.decode(reading.read_bytes(folder / MANIFEST, limit=_LIMIT), type=Manifest)
    except (EsapError, msgspec.MsgspecError):
        return None


def properties_of(folder: Path, plan: Plan, manifest: Manifest | None) -> dict[str, dict[str, Any]]:
    """
    Titles, units and defaults of parameters, from the run's own snapshot; empty where they were derived from
    a pipeline.
    """
    name = manifest.parameters if manifest else "params.schema.json"
    try:
        schema = msgspec.json.decode(reading.read_bytes(folder / folder_of(plan) / name, limit=_LIMIT))
    except (EsapError, msgspec.MsgspecError):
        return {}
    found = schema.get("properties") if isinstance(schema, dict) else None
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _shown(value: Any, unit: object = "") -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json_line(value)
    return f"{text} {unit}" if unit and value is not None else str(text)


def parameters(page: Page, plan: Plan, properties: dict[str, dict[str, Any]]) -> None:
    """Parameters, those that differ from the defaults first."""
    given = plan.request.parameters

    def differs(name: str) -> bool:
        own = properties.get(name, {})
        return plan.parameters[name] != own["default"] if "default" in own else name in given

    order = [n for n in properties if n in plan.parameters] + [
        n for n in plan.parameters if n not in properties
    ]
    changed = [n for n in order if differs(n)]
    same = set(changed)

    def row(name: str) -> list[object]:
        own = properties.get(name, {})
        unit = own.get("unit", "")
        default = _shown(own["default"], unit) if "default" in own else _shown(own.get("engine_default", "–"))
        return [
            own.get("title") or name,
            code(name),
            _shown(plan.parameters[name], unit),
            default,
            "changed" if name in same else "",
        ]

    names = changed + [n for n in order if n not in same]
    known = any("default" in properties.get(n, {}) for n in names)
    note = (
        f"Different from the default: {len(changed)} of {len(names)}."
        if known
        else f"Given: {len(changed)} of {len(names)}."
    )
    page.table("Parameters", ("title", "name", "value", "default", ""), map(row, names), len(names), note)
    page.table(
        "Selected", ("name", "value"), ((n, _shown(v)) for n, v in plan.selected.items()), len(plan.selected)
    )


def inputs(page: Page, plan: Plan, manifest: Manifest | None) -> None:
    """Input files with what identifies them."""
    titles = {n: i.title for n, i in manifest.inputs.items()} if manifest else {}

    def rows() -> Iterator[list[object]]:
        for name, refs in plan.inputs.items():
            for ref in refs:
                size = "" if ref.bytes is None else human_bytes(ref.bytes)
                yield [titles.get(name, name), ref.path or ref.uri, number(size), code(_identity(ref))]

    page.table("Inputs", ("input", "file", "size", "identity"), rows(), sum(map(len, plan.inputs.values())))
    inside = [(n, i) for n, found in plan.inside.items() for i in found]
    page.table(
        "Files that parameters name",
        ("parameter", "identity"),
        ((n, code(i)) for n, i in inside),
        len(inside),
    )


def _identity(ref: DataRef) -> str:
    text = ref.checksum or "–"
    if ref.strength != "checksum":
        text += " (from size and times, not from content)"
    if not ref.counts:
        text += " (only looked up, not part of the run's identity)"
    return text + (f" and {human_count(len(ref.beside), 'file')} beside it" if ref.beside else "")


def software(page: Page, record: RunRecord, plan: Plan) -> None:
    """Engine, environment, images; and what the run is known by."""
    engine = plan.engine
    rows: list[tuple[str, object]] = [
        ("workflow", f"{plan.workflow} {plan.version}, {plan.reference or plan.source}"),
        ("engine", f"{engine.name} {engine.version}, {engine.path} ({engine.found})"),
        ("software", f"{plan.software.route}: {plan.software.detail}"),
        *(("image", _image(c)) for c in plan.software.containers[: page.most]),
        ("esap-wf", __version__),
        ("host", record.host),
        ("code", code(plan.code)),
        ("identity", code(plan.digest.identity)),
    ]
    if plan.digest.science:
        rows.append(("scientific identity", code(plan.digest.science)))
    if not plan.digest.deterministic:
        rows.append(("repeatable", "no: the run draws its own random numbers"))
    page.table("Software and identity", ("", ""), rows, len(rows))


def _image(image: ContainerChoice) -> str:
    return f"{image.image} ({image.digest or 'digest unknown'}), {image.runtime}"


def add_repeating(page: Page, folder: Path, record: RunRecord, plan: Plan, state: State) -> None:
    """How it is run again, and where its files are."""
    add(page.body, "h2", "Run it again")
    commands = []
    if state.phase is not Phase.COMPLETED:
        commands.append((f"esap-wf resume {record.id}", "continues where it stopped"))
    commands += [
        (f"esap-wf rerun {record.id}", "starts a new run like this one"),
        (
            f"esap-wf run --params {shlex.quote(str(folder / 'request.json'))}",
            "the same request; if its results are still there, they are used",
        ),
        (f"bash {shlex.quote(str(folder / 'command.sh'))}", "the bare engine, without esap-wf"),
    ]
    lines(page.body, "\n".join(f"{command}    # {what}" for command, what in commands))
    words = plan.command[:_WORDS]
    more = (
        f" … and {human_count(len(plan.command) - _WORDS, 'more word')}" if len(plan.command) > _WORDS else ""
    )
    add(page.body, "p", "The engine's command:", class_="soft")
    lines(page.body, shlex.join(words) + more)
    there = [(link(name), what) for name, what in _FILES.items() if is_there(folder / name)]
    page.table("Files of the run", ("", ""), there, len(there))


def cite(page: Page, manifest: Manifest | None) -> None:
    """Authors, licence and what to cite."""
    if manifest is None:
        return
    who = ", ".join(a.name + (f" ({a.orcid})" if a.orcid else "") for a in manifest.authors)
    rows = [("authors", who)] if who else []
    rows += [("licence", manifest.license)] if manifest.license else []
    rows += [("cite", c) for c in manifest.citation]
    page.table("Authors and citation", ("", ""), rows, len(rows))
