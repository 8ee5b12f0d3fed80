"""What a host says of itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from esap_wf.backends.capacities import ENDLESS
from esap_wf.backends.ssh import failures, settings
from esap_wf.backends.ssh.answer import Answer
from esap_wf.backends.ssh.far import Far
from esap_wf.backends.ssh.settings import Address
from esap_wf.config import RUNTIMES
from esap_wf.models.place import Found, Profile, Survey
from esap_wf.models.run import now

#: How a command is called that a workflow may name.
_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
#: Engine → its program, and the distribution that has its version.
ENGINES = {
    "snakemake": ("snakemake", "snakemake"),
    "nextflow": ("nextflow", "-"),
    "cwl": ("cwltool", "cwltool"),
    "toil": ("toil-cwl-runner", "toil"),
    "command": ("bash", "-"),
    "notebook": ("papermill", "papermill"),
}
_VERSION = re.compile(r"\d+(?:\.\d+)+[A-Za-z0-9.+-]*|\d+")
#: What a host may say of one thing, at most.
_LONGEST = 1000


def survey(profile: Profile) -> Survey:
    """
    Ask a host, with one question.

    Raises
    ------
    OutageError, NeedsPersonError
    """
    own = settings.of(profile)
    far = Far(Address.of(profile), own.folder)
    nonce = os.urandom(8).hex()
    lines = far.ask_script(_script(profile, own.folder, nonce), Answer.lines, nonce)
    said: dict[str, list[str]] = {}
    for line in lines:
        key, tab, value = line.partition("\t")
        if tab and len(line) <= _LONGEST:
            said.setdefault(key, []).append(value.strip())

    def numbers(key: str) -> list[int]:
        return [int(float(v)) for v in said.get(key, ()) if re.fullmatch(r"\d{1,18}(\.\d+)?", v)]

    cores = numbers("cores")
    if not cores:
        hint = f"look there by hand: {far.address.by_hand}"
        raise failures.for_person(far.address, "it does not say what it has", hint, "\n".join(lines[-3:]))
    load = numbers("load")
    return Survey(
        asked=now(),
        cores=max(1, cores[0]),
        memory_bytes=min([m for m in numbers("memory") if m > 0], default=ENDLESS),
        disk_bytes=min(numbers("disk"), default=ENDLESS),
        free_cores=max(0, cores[0] - load[0]) if load else None,
        programs={
            k: v[0] for k, v in _of("program", said).items() if v[0].startswith("/") and _COMMAND.fullmatch(k)
        },
        engines=_found("engine", said),
        python={k: v[0] for k, v in _of("python", said).items()},
        runtimes=_found("runtime", said),
        system=said.get("system", [""])[0][:200],
    )


def _script(profile: Profile, folder: str, nonce: str) -> bytes:
    text = Path(__file__).with_name("survey.sh").read_text("utf-8")
    engines = []
    for name, (program, distribution) in ENGINES.items():
        there = profile.engines.get(name)
        engines.append(f"engine {name} {distribution} {there.path if there and there.path else program}")
    values = {
        "NONCE": nonce,
        "FOLDER": folder,
        "PATH": "".join(f"{path}:" for path in profile.software.path),
        "RUNTIMES": " ".join(RUNTIMES),
        "ENGINES": "\n    ".join(engines),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.encode()


def _of(kind: str, said: dict[str, list[str]]) -> dict[str, list[str]]:
    return {k.removeprefix(f"{kind} "): v for k, v in said.items() if k.startswith(f"{kind} ")}


def _found(kind: str, said: dict[str, list[str]]) -> dict[str, Found]:
    """Path and version; what doesn't say its version can't be started there."""
    found = {}
    for name, values in _of(kind, said).items():
        path, _, text = values[0].partition(" ")
        if path.startswith("/") and (version := _VERSION.search(text)):
            exact = version[0].rstrip(".-+")
            # 24.10.0.5928, with the number of the build
            found[name] = Found(
                path=path, version=".".join(exact.split(".")[:3]) if name == "nextflow" else exact
            )
    return found
