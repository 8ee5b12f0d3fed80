"""What a host is and has, as ``survey.sh`` tells it: run there, or on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.backends.capacities import ENDLESS
from esap_wf.config import RUNTIMES
from esap_wf.models.place import Found, Profile

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


def script(profile: Profile, folder: str, nonce: str) -> bytes:
    """
    What is run there by ``sh -s``; the answer stands between two lines with the nonce.

    Parameters
    ----------
    profile : Profile
    folder : str
        Where pieces work there.
    nonce : str
    """
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


@dataclass(frozen=True)
class Said:
    """
    What a host has said.

    Parameters
    ----------
    words : dict
        Key → values.
    """

    words: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[str]) -> Said:
        """The lines of an answer: KEY, a tab, VALUE."""
        words: dict[str, list[str]] = {}
        for line in lines:
            key, tab, value = line.partition("\t")
            if tab and len(line) <= _LONGEST:
                words.setdefault(key, []).append(value.strip())
        return cls(words)

    def _numbers(self, key: str) -> list[int]:
        return [int(float(v)) for v in self.words.get(key, ()) if re.fullmatch(r"\d{1,18}(\.\d+)?", v)]

    @property
    def cores(self) -> int | None:
        """Of the host; None if it doesn't say."""
        found = self._numbers("cores")
        return max(1, found[0]) if found else None

    @property
    def free_cores(self) -> int | None:
        """By its load."""
        cores, load = self._numbers("cores"), self._numbers("load")
        return max(0, cores[0] - load[0]) if cores and load else None

    @property
    def memory_bytes(self) -> int:
        """The least limit."""
        return min([m for m in self._numbers("memory") if m > 0], default=ENDLESS)

    @property
    def disk_bytes(self) -> int:
        """Free where pieces work."""
        return min(self._numbers("disk"), default=ENDLESS)

    @property
    def programs(self) -> dict[str, str]:
        """All commands of its PATH."""
        found = self._of("program")
        return {k: v[0] for k, v in found.items() if v[0].startswith("/") and _COMMAND.fullmatch(k)}

    @property
    def python(self) -> dict[str, str]:
        """Distributions of the ``python`` that comes first."""
        return {k: v[0] for k, v in self._of("python").items()}

    @property
    def engines(self) -> dict[str, Found]:
        """Engines that say their version."""
        return self._found("engine")

    @property
    def runtimes(self) -> dict[str, Found]:
        """Container runtimes that say their version."""
        return self._found("runtime")

    @property
    def system(self) -> str:
        """For people."""
        return self.words.get("system", [""])[0][:200]

    def _of(self, kind: str) -> dict[str, list[str]]:
        return {k.removeprefix(f"{kind} "): v for k, v in self.words.items() if k.startswith(f"{kind} ")}

    def _found(self, kind: str) -> dict[str, Found]:
        """Path and version; what doesn't say its version can't be started there."""
        found = {}
        for name, values in self._of(kind).items():
            path, _, text = values[0].partition(" ")
            if path.startswith("/") and (version := _VERSION.search(text)):
                exact = version[0].rstrip(".-+")
                # 24.10.0.5928, with the number of the build
                found[name] = Found(
                    path=path, version=".".join(exact.split(".")[:3]) if name == "nextflow" else exact
                )
        return found
