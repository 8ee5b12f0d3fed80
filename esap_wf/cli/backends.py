"""The verb backends: what places can do, what is free, and why something doesn't fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, Verb, columns, completes, late_json_option, table
from esap_wf.cli.times import local
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats.printing import folded
from esap_wf.formats.quantities import human_bytes, human_cores, human_count, human_seconds

if TYPE_CHECKING:
    from esap_wf.backends import Profile, Survey
    from esap_wf.planning.abilities import Places
    from esap_wf.planning.standings import Has, Standing, Way

#: Programs of a place that are listed; of more, those that engines ask for.
FEW = 30


class OpenGroup(click.Group):
    """A verb with verbs of its own, that does something without one, too."""

    command_class = Verb

    def __init__(self, *args: Any, examples: Sequence[str] = (), **more: Any) -> None:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
        super().__init__(*args, **{"context_settings": settings, "invoke_without_command": True, **more})
        self.examples = examples
        self.params.append(late_json_option())

    format_epilog = Verb.format_epilog

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What follows is a verb, not the name of a place."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            from esap_wf.formats.schemas import closest

            hint = closest(args[0], self.commands) or f"{ctx.command_path} show {args[0]}"
            raise UsageError(
                f"{ctx.command_path} has no command {args[0]!r}",
                [Problem("command line", f"unknown command {args[0]!r}", hint)],
            )
        return super().resolve_command(ctx, args)


@click.group(
    "backends",
    cls=OpenGroup,
    examples=[
        "esap-wf backends",
        "esap-wf backends --needs gpu=1,memory=64GB",
        "esap-wf backends check local",
    ],
)
@click.option(
    "--needs",
    metavar="K=V,…",
    multiple=True,
    shell_complete=completes("needs"),
    help="Say which places fit: cores, memory, disk, wall, gpu and nodes, as in gpu=1,memory=64GB,wall=2h.",
)
@click.pass_context
def backends(ctx: click.Context, needs: tuple[str, ...]) -> None:
    """
    Show what each place can do, what is free there, and why something doesn't fit. No place is asked: what it
    said when it was asked last counts.

    A new site: describe it in the configuration as [backends.NAME] with its kind, then ask it (esap-wf
    backends check NAME), see what it has (esap-wf backends show NAME), and try every engine there (esap-wf
    check NAME).
    """
    answer = ctx.ensure_object(Answer)
    if ctx.invoked_subcommand:
        if needs:
            what = "it can't be combined with a command"
            raise UsageError("the command line is not valid", [Problem("--needs", what, "esap-wf backends")])
        return
    from esap_wf.planning import needs as words
    from esap_wf.planning.abilities import Places

    wanted = words.parse(needs) if needs else None
    found = Places(answer.config()).standings(wanted)
    answer.give({"backends": found}, _list_text(found))


@backends.command("show", examples=["esap-wf backends show local"])
@click.argument("name", shell_complete=completes("backend"))
@click.option(
    "--write-profiles",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write files by which the bare engines submit to this place, without esap-wf: FOLDER/snakemake, …",
)
@click.pass_obj
def backends_show(answer: Answer, name: str, folder: Path | None) -> None:
    """
    Ask a place and show all that is known of it: its profile and limits, what it has, its storage, engines
    and software. Without an answer, what it said last is shown.
    """
    from esap_wf.planning.abilities import Places

    places = Places(answer.config())
    profile = places.profile(name)
    try:
        survey: Survey | None = places.ask(name)
    except EsapError as error:
        answer.say(f"it can't be asked now: {error}")
        survey = places.known(name)
    if folder is not None:
        for path in _write_profiles(places, name, folder):
            answer.say(f"written: {path}")
    standing = places.standing(name)
    answer.give({"backends": [_detailed(standing, profile, survey)]}, _page(standing, profile, survey))


@backends.command("check", examples=["esap-wf backends check local"])
@click.argument("name", shell_complete=completes("backend"))
@click.pass_obj
def backends_check(answer: Answer, name: str) -> None:
    """
    Ask a place now, keep what it says, and show it. If it can't be asked, the reason is told, and what to do.
    """
    from esap_wf.planning.abilities import Places

    places = Places(answer.config())
    profile = places.profile(name)
    survey = places.ask(name)
    standing = places.standing(name)
    row = _detailed(standing, profile, survey)
    page = _page(standing, profile, survey, short=True)
    if any(way.way == "native" for way in standing.ways):
        row["sees_store"] = places.sees_store(name)
        page += f"\n\n{_sees_text(answer, row['sees_store'])}"
    answer.give({"backends": [row]}, page)


def _write_profiles(places: Places, name: str, folder: Path) -> list[Path]:
    """What bare engines need to submit to a place; a file that is there is not replaced."""
    from esap_wf import files

    found = {folder / path: content for path, content in places.engine_profiles(name).items()}
    if not found:
        what = "no engine submits jobs of its own there"
        raise UsageError(
            f"there are no profiles of {name}", [Problem("--write-profiles", what, "leave it out")]
        )
    if there := [str(path) for path in found if path.exists()]:
        problems = [Problem(path, "is there already", "name another folder") for path in there]
        raise UsageError("nothing was written", problems)
    for path, content in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, content)
    return list(found)


def _detailed(standing: Standing, profile: Profile, survey: Survey | None) -> dict[str, Any]:
    """All of a place as data. Of secrets a profile holds the names only."""
    import msgspec

    row: dict[str, Any] = msgspec.to_builtins(standing)
    return row | {
        "profile": msgspec.structs.asdict(profile),
        "survey": survey and msgspec.structs.asdict(survey),
    }


# --- texts


def _sees_text(answer: Answer, seen: bool | None) -> str:
    """Whether jobs see the run store."""
    store = answer.config().store
    if seen is None:
        return f"whether its jobs see the run store {store} is not known: none has begun within a few seconds"
    if seen:
        return f"its jobs see the run store {store}, and can write there"
    return f"its jobs do not see the run store {store}, or can't write there: runs can't work in it"


def _list_text(found: Sequence[Standing]) -> str:
    rows = [
        (
            s.name,
            s.kind,
            "yes" if s.fits else "no",
            "; ".join([*([has_text(s.capacity)] if s.capacity else []), *_engines(s.ways)]),
        )
        for s in found
    ]
    against = [f"not {s.name}: {reason}" for s in found for reason in s.reasons]
    lines = [line for text in against for line in folded(text, columns())]
    shown = table(rows, ("backend", "kind", "fits", "what it has"), columns())
    return "\n".join([shown, *(["", *lines] if lines else [])])


def has_text(has: Has) -> str:
    """``2 cores (1 free), 8 GB of memory, no time limit``."""
    parts = []
    if has.cores is not None:
        parts.append(
            human_cores(has.cores) + (f" ({has.free_cores} free)" if has.free_cores is not None else "")
        )
    if has.memory_bytes is not None:
        parts.append(f"{human_bytes(has.memory_bytes)} of memory")
    if has.disk_bytes is not None:
        parts.append(f"{human_bytes(has.disk_bytes)} of disk space")
    if has.gpus:
        parts.append(human_count(has.gpus, "GPU"))
    if has.nodes > 1:
        parts.append(human_count(has.nodes, "node"))
    parts.append(
        f"at most {human_seconds(has.wall_seconds)}" if has.wall_seconds is not None else "no time limit"
    )
    return ", ".join(parts)


def _engines(ways: Sequence[Way]) -> list[str]:
    return [", ".join(f"{w.engine} {w.version}".rstrip() for w in ways)] if ways else []


def _page(standing: Standing, profile: Profile, survey: Survey | None, short: bool = False) -> str:
    """A place as rows of key and text."""
    rows = [
        (
            "backend",
            f"{standing.name}, of kind {standing.kind}" + (f": {profile.title}" if profile.title else ""),
        )
    ]
    if survey:
        rows.append(("asked", local(survey.asked) + (f": {survey.system}" if survey.system else "")))
    rows += [("not usable", reason) for reason in standing.reasons]
    rows += [("has", has_text(standing.capacity))] if standing.capacity else []
    for way in standing.ways:
        how = "in the run store itself" if way.store == "shared" else "on copies"
        how += ", its steps are jobs of their own" if way.way == "native" else ""
        pieces = " or in ".join(way.pieces)
        images = f"; containers by {', '.join(way.containers)}" if way.containers else "; no containers"
        rows.append(
            (
                way.engine,
                f"{way.version} {f'({way.path}) ' if way.path else ''}{pieces}, {how}{images}".strip(),
            )
        )
    if survey and survey.partitions:
        rows += _parts(survey)
    if survey and survey.programs:
        rows.append(("programs", _programs(survey.programs)))
    if not short:
        rows += _limits(profile)
    return table(rows, ("", ""), columns()).lstrip("\n")


def _parts(survey: Survey) -> list[tuple[str, str]]:
    """What a workload manager says of itself."""
    rows = []
    for p in survey.partitions:
        parts = [
            "the default" if p.default else "",
            "" if p.up else "down",
            human_count(p.nodes, "node"),
            f"at most {human_cores(p.cores)}",
            f"{human_bytes(p.memory_bytes)} of memory",
            human_count(p.gpus, "GPU") if p.gpus else "",
            f"{human_seconds(p.wall_seconds)} for one job" if p.wall_seconds is not None else "no time limit",
            f"features {', '.join(p.features)}" if p.features else "",
            f"only accounts {', '.join(p.accounts)}" if p.accounts else "",
            f"only QOS {', '.join(p.qos)}" if p.qos else "",
        ]
        rows.append((f"partition {p.name}", ", ".join(filter(None, parts))))
    rows += [("accounts", ", ".join(survey.accounts))] if survey.accounts else []
    rows += [("QOS", ", ".join(survey.qos))] if survey.qos else []
    rows.append(("usage", "kept of each job" if survey.accounting else "not kept: there is no accounting"))
    return rows


def _programs(there: Collection[str]) -> str:
    """What is on its PATH: all if that are few, else those that matter to engines."""
    if len(there) <= FEW:
        return ", ".join(there)
    from esap_wf.engines.elsewhere import TELLING

    known = ", ".join(sorted(TELLING & set(there)))
    return f"{len(there)} on its PATH" + (f", among them {known}" if known else "")


def _limits(profile: Profile) -> list[tuple[str, str]]:
    """What a profile says, as far as it says something."""
    limits = [
        f"{name} {value}"
        for name in ("cores", "memory", "disk", "wall", "bundle")
        if (value := getattr(profile, name)) is not None
    ]
    caps = [
        text
        for amount, text in (
            (profile.caps.heads, f"{profile.caps.heads} pieces at a time"),
            (profile.caps.jobs, f"{profile.caps.jobs} jobs of a piece"),
            (profile.caps.submissions, f"{profile.caps.submissions} started in a minute"),
        )
        if amount is not None
    ]
    there = profile.software
    rows = [
        ("limits", ", ".join(limits)),
        ("caps", ", ".join(caps)),
        ("folders", ", ".join(profile.shared)),
        ("modules", ", ".join(there.modules)),
        ("mounts", ", ".join(there.mounts)),
        ("path", ", ".join(there.path)),
        ("environment", ", ".join(profile.environment)),
        ("secrets", ", ".join(profile.secrets)),
        ("options", " ".join(profile.options)),
    ]
    rows += [
        (f"storage {s.name}", f"{s.role}, {s.access}" + (f": {s.where}" if s.where else ""))
        for s in profile.storage
    ]
    return [row for row in rows if row[1]]
