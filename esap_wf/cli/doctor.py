"""The verb doctor: what is installed, what works, what is missing, how to get it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from esap_wf import files
from esap_wf.cli.output import Answer, Verb, columns, table
from esap_wf.cli.times import local
from esap_wf.config import Config
from esap_wf.errors import EsapError, ExitCode
from esap_wf.formats.quantities import human_bytes


def _check(name: str, ok: bool, detail: str, hint: str = "", needed: bool = True) -> dict[str, Any]:
    return {"name": name, "ok": ok, "needed": needed, "detail": detail, "hint": "" if ok else hint}


def _writable(path: Path) -> bool:
    return os.access(_existing(path), os.W_OK)


def _existing(path: Path) -> Path:
    """A folder, or the one above it that is there."""
    while not path.exists():
        path = path.parent
    return path


def checks(config: Config) -> Iterator[dict[str, Any]]:
    """One row a check; nothing is changed."""
    yield from _machine(config)
    yield from _engines(config)
    yield from _backends(config)
    yield from _containers(config)
    yield from _workflows(config)


def _machine(config: Config) -> Iterator[dict[str, Any]]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _check(
        "python",
        sys.version_info >= (3, 11),
        f"{version} at {sys.executable}",
        "Python 3.11 or newer is needed",
    )
    yield _check("configuration", True, str(config.source) + ("" if config.source.exists() else " (none)"))
    yield _check(
        "store",
        _writable(config.store),
        f"{config.store}" + ("" if config.store.exists() else " (the first run creates it)"),
        "choose another: --store DIR",
    )
    free = files.free(config.store)
    yield _check(
        "space", free > 1_000_000_000, f"{human_bytes(free)} free for runs", "free some space: esap-wf rm RUN"
    )
    yield _check(
        "cache",
        _writable(config.cache),
        str(config.cache),
        "set ESAP_WF_CACHE to a folder that you can write to",
    )
    yield _check(
        "bash", shutil.which("bash") is not None, shutil.which("bash") or "missing", "command.sh needs bash"
    )


def _usable(kind: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Plug-ins of a kind that can be used, and a row for each that can't."""
    from esap_wf import plugins

    usable, broken = plugins.load(f"esap_wf.{kind}s")
    return usable, [_check(f"{kind} {b.name}", False, b.why, "repair or remove the package") for b in broken]


def _engines(config: Config) -> Iterator[dict[str, Any]]:
    from esap_wf.engines import programs

    usable, broken = _usable("engine")
    yield from broken
    found = {name: programs.first_suitable(engine, config, None) for name, engine in usable.items()}
    # one that runs pipelines is needed, not all
    needed = not any(f.choice for name, f in found.items() if name != "command")
    for name, engine in usable.items():
        choice, detail = found[name].choice, "; ".join(["missing", *found[name].refused])
        if choice:
            runs_on = f", {choice.detail}" if choice.detail else ""
            detail = f"{choice.version} at {choice.path} ({choice.found}){runs_on}"
        yield _check(f"engine {name}", choice is not None, detail, engine.how_to_install(), needed)
        for problem in engine.lacks():
            yield _check(f"engine {name}", False, problem.what, problem.hint)


def _backends(config: Config) -> Iterator[dict[str, Any]]:
    from esap_wf import backends
    from esap_wf.backends.places import places
    from esap_wf.cli.backends import has_text
    from esap_wf.planning.standings import has

    _, broken = _usable("backend")
    yield from broken
    found = places(backends.profiles(config), config.cache)
    for name, place in found.usable.items():
        try:
            there = has_text(has(place.capacity(config.store), place.survey))
        except EsapError as error:
            yield _check(f"backend {name}", False, error.message, needed=False)
            continue
        asked = f" (asked {local(place.survey.asked)})" if place.survey else ""
        yield _check(f"backend {name}", True, f"{there}{asked}")
    for name, why in found.broken.items():
        yield _check(f"backend {name}", False, why, "install the package, or take the profile away", False)


def _containers(config: Config) -> Iterator[dict[str, Any]]:
    """None is needed as long as no workflow wants one."""
    from esap_wf.software import containers

    for name, runtime in containers.survey(containers.settings(config), config.cache).items():
        if isinstance(runtime, str):
            yield _check(f"container {name}", True, f"not usable: {runtime}")
        else:
            yield _check(f"container {name}", True, f"{runtime.version} at {runtime.program}")


def _workflows(config: Config) -> Iterator[dict[str, Any]]:
    from esap_wf.catalogue import manifests
    from esap_wf.planning import routes

    for name, file, source in manifests.entries(config):
        try:
            route = routes.choose(manifests.read_manifest(file, source), config)
            hint = f"esap-wf software build {name} does it now; otherwise the first run does"
            yield _check(
                f"workflow {name}", True, f"software: {route.detail}" + ("" if route.ready else f" ({hint})")
            )
        except EsapError as error:
            yield _check(f"workflow {name}", False, str(error).replace("\n", " "), f"esap-wf lint {name}")


@click.command("doctor", cls=Verb, examples=["esap-wf doctor"])
@click.pass_obj
def doctor(answer: Answer) -> int:
    """Show what is installed, what works, what is missing, and how to get it."""
    rows = list(checks(answer.config()))
    lines = [
        (
            "ok" if r["ok"] else "MISSING" if r["needed"] else "absent",
            r["name"],
            r["detail"] + (f"  → {r['hint']}" if r["hint"] else ""),
        )
        for r in rows
    ]
    ok = all(r["ok"] for r in rows if r["needed"])
    answer.give({"ok": ok, "checks": rows}, table(lines, ("", "what", ""), columns()))
    return ExitCode.DONE if ok else ExitCode.UNAVAILABLE
