"""Which Nextflow is there, with which Java, and which versions a pipeline wants.

Nothing is started where files say enough: a JVM costs a second.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from esap_wf import files
from esap_wf.config import Config
from esap_wf.engines import programs
from esap_wf.engines.nextflow.installer import location
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.models.plan import EngineChoice

ENGINE = "nextflow"
#: What the trace and the configuration need; older ones were never tried.
OLDEST = "23.04"
UNKNOWN = "unknown"
#: Seconds for an engine or a Java that is asked for its version.
PATIENCE = 60.0

_SCRIPT_VERSION = re.compile(rb"NXF_VER=\$\{NXF_VER:-['\"]?([0-9][0-9A-Za-z.\-]*)")
_CONDITION = re.compile(r"\s*([!<=>]*)\s*v?(\d[0-9A-Za-z_.\-]*?)(\+|\.\*)?\s*")
_RELEASE = re.compile(r'^JAVA_VERSION="?([^"\s]+)', re.MULTILINE)
_JAVA_SAYS = re.compile(r'version "([^"]+)"')


@dataclass(frozen=True)
class Machine:
    """
    The Java that runs Nextflow and how; written as text into `EngineChoice.detail`, because a run is rendered
    from its plan alone.
    """

    java: str = ""
    version: str = ""
    options: str = ""
    online: bool = False

    def __str__(self) -> str:
        words = [f"Java {self.version or UNKNOWN} at {self.java}" if self.java else "no Java"]
        words += [f"options {self.options}"] if self.options else []
        return "; ".join([*words, *(["online"] if self.online else [])])

    @classmethod
    def of(cls, detail: str) -> Machine:
        """From the text."""
        first, *rest = detail.split("; ")
        version, _, java = first.removeprefix("Java ").partition(" at ")
        options = next((word.removeprefix("options ") for word in rest if word.startswith("options ")), "")
        return cls(java, "" if version in (UNKNOWN, first) else version, options, "online" in rest)


def choices(config: Config) -> Iterator[EngineChoice]:
    """Every Nextflow that is there, best first."""
    settings = config.engines.get(ENGINE, {})
    java = java_of(settings.get("java"), config)
    version = java_version(java, config.cache) if java else None
    options = " ".join(str(settings.get("java_options", "")).split())
    machine = Machine(str(java or ""), version or "", options, online=settings.get("offline") is False)
    candidates = list(programs.candidates(ENGINE, ENGINE, config))
    if not settings.get("path") and (location(config.cache) / ENGINE).is_file():
        candidates.append((location(config.cache) / ENGINE, "engines install"))
    for path, how in candidates:
        yield EngineChoice(
            name=ENGINE,
            path=str(path),
            version=version_of(path, config.cache, java),
            found=how,
            detail=str(machine),
        )


# --- versions


def version_of(program: Path, cache: Path, java: Path | None = None) -> str:
    """
    Version of a Nextflow, from the jar beside it or the launcher's text; else it is asked, once.

    Returns
    -------
    str
        `UNKNOWN` if it doesn't say.
    """
    real = program.resolve()
    for jar in (real.parent / "lib").glob("nextflow-[0-9]*.jar"):
        return jar.stem.removeprefix("nextflow-")
    try:
        with real.open("rb") as file:
            text = file.read(100_000)
    except OSError:
        return UNKNOWN
    if text.startswith(b"#!") and (script := _SCRIPT_VERSION.search(text)):
        return script[1].decode()
    if java is None:
        return UNKNOWN
    asked = _asked(
        cache,
        [str(real), "-version"],
        real,
        {"JAVA_CMD": str(java), "NXF_OFFLINE": "true", "NXF_DISABLE_CHECK_LATEST": "true"},
    )
    found = re.search(r"version\s+(\d[0-9A-Za-z.\-]*)", asked)
    return found[1] if found else UNKNOWN


def lacks(program: Path, version: str) -> str:
    """What the official launcher would have to download first; empty if it has all, or is none."""
    real = program.resolve()
    try:
        with real.open("rb") as file:
            text = file.read(100_000)
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    if (
        not (text.startswith(b"#!") and b"/framework/" in text and _SCRIPT_VERSION.search(text))
        or b"NXF_PACK=dist" in text
    ):
        return ""
    folder = Path.home() / ".nextflow" / "framework" / version  # launch drops NXF_HOME
    if any(folder.glob(f"nextflow-{version}-*.jar")):
        return ""
    return (
        f"it has not downloaded its program yet (there is no jar in {folder}); with internet access, "
        f"`{program} -version` does so"
    )


def java_of(configured: object, config: Config) -> Path | None:
    """
    Java, as the official launcher finds it.

    Raises
    ------
    UsageError
        A configured one is not there.
    """
    if configured:
        path = Path(str(configured)).expanduser()
        path = path / "bin" / "java" if path.is_dir() else path
        if not path.is_file():
            raise UsageError(
                "a configured Java is missing",
                [Problem(f"{config.source}: engines.{ENGINE}.java", f"there is no file {path}")],
            )
        return path
    homes = {name: os.environ.get(name) for name in ("NXF_JAVA_HOME", "JAVA_HOME")}
    named = [
        f"{homes['NXF_JAVA_HOME']}/bin/java" if homes["NXF_JAVA_HOME"] else None,
        os.environ.get("JAVA_CMD"),
        f"{homes['JAVA_HOME']}/bin/java" if homes["JAVA_HOME"] else None,
        "java",
    ]
    found = shutil.which(next(name for name in named if name))
    return Path(found).absolute() if found else None


def java_version(java: Path, cache: Path) -> str | None:
    """
    Version of a Java, from the ``release`` file beside it; else it is asked, once. None if it doesn't say.
    """
    real = java.resolve()
    try:
        found = (
            _RELEASE.search((real.parent.parent / "release").read_text("utf-8", "replace"))
            if real.name == "java"
            else None
        )
    except OSError:
        found = None
    found = found or _JAVA_SAYS.search(_asked(cache, [str(real), "-version"], real, {}))
    return found[1] if found else None


def _asked(cache: Path, argv: list[str], program: Path, added: Mapping[str, str]) -> str:
    """What a program prints; remembered in the cache as long as the program is the same."""
    try:
        stat = program.stat()
    except OSError:
        return ""
    key = hashlib.sha256(f"{program}\n{stat.st_mtime_ns}\n{stat.st_size}".encode()).hexdigest()[:20]
    memory = cache / "engines" / "versions" / key
    try:
        return memory.read_text("utf-8")
    except OSError:
        pass
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NXF_")}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=True,
            env={**kept, **added},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(memory, text.encode(), sync=False)
    except (OSError, EsapError):
        pass  # asked again the next time
    return text


def numbers(version: str) -> tuple[int, ...]:
    """``24.10.0-edge`` → (24, 10, 0)."""
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[-_]", version)[0]))


def major(java: str) -> int:
    """``1.8.0_402`` → 8, ``17.0.15`` → 17."""
    parts = numbers(java.replace("_", "."))
    return parts[1] if len(parts) > 1 and parts[0] == 1 else (parts[0] if parts else 0)


def fits(version: str, requires: str) -> bool:
    """
    Whether a version keeps what a pipeline says, in Nextflow's words: ``>=23.04``, ``!>=23.04``, ``23.04+``,
    ``>=22, <25``, ``24.10.0``.

    Raises
    ------
    ValueError
        That is no condition.
    """
    has = numbers(version)
    kept = True
    for part in requires.strip().removeprefix("!").split(","):
        match = _CONDITION.fullmatch(part)
        if not match:
            raise ValueError(f"{part.strip()!r} is not a condition for a version")
        wanted = numbers(match[2])
        if match[3] == ".*":
            kept &= has[: len(wanted)] == wanted
            continue
        length = max(len(has), len(wanted))
        a, b = (v + (0,) * (length - len(v)) for v in (has, wanted))
        operator = ">=" if match[3] else match[1]
        results = {
            "": a == b,
            "=": a == b,
            "==": a == b,
            "!=": a != b,
            "<>": a != b,
            ">": a > b,
            ">=": a >= b,
            "<": a < b,
            "<=": a <= b,
        }
        if operator not in results:
            raise ValueError(f"{part.strip()!r} is not a condition for a version")
        kept &= results[operator]
    return kept


def incompatibility(choice: EngineChoice, requires: str | None) -> str:
    """Why one can't run, or not a pipeline that `requires` a version; empty if it can."""
    if choice.place:
        return _incompatible_there(choice, requires)
    machine = Machine.of(choice.detail)
    if not machine.java:
        return (
            f"no Java was found; {java_wanted(choice.version)} or newer is needed: put it on PATH, or "
            "name it in [engines.nextflow] java"
        )
    if not machine.version:
        return f"{machine.java} does not say its version: is it really Java?"
    if choice.version == UNKNOWN:
        return "it does not say its version (`nextflow -version`)"
    if major(machine.version) < java_wanted(choice.version):
        return (
            f"Java {java_wanted(choice.version)} or newer is needed, there is {major(machine.version)} "
            f"at {machine.java}"
        )
    if against := lacks(Path(choice.path), choice.version):
        return against
    return _unfit(choice.version, requires)


def _unfit(version: str, requires: str | None) -> str:
    for wanted in filter(None, (requires, f">={OLDEST}")):
        try:
            if not fits(version, wanted):
                return f"{wanted} is needed"
        except ValueError as error:
            return str(error)
    return ""


def _incompatible_there(choice: EngineChoice, requires: str | None) -> str:
    """At a place elsewhere: one that has said its version has found its Java."""
    if choice.found != choice.place and "java" not in choice.programs:
        return f"there is no java on the PATH of {choice.place}: put it there, or name it in software.path"
    return _unfit(choice.version, requires)


def java_wanted(version: str) -> int:
    """The oldest Java for a Nextflow."""
    return 17 if version == UNKNOWN or numbers(version) >= (24, 11) else 11
