"""
udocker: no daemon, no root, no namespaces; PRoot translates paths. It can't make inputs read-only nor cut the
network.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from esap_wf.formats import reading
from esap_wf.models.plan import ContainerChoice
from esap_wf.runs.processes import RUN_VARIABLE
from esap_wf.software.containers import programs
from esap_wf.software.containers.image import ARCHIVE, NAME, ROOTFS, SIF, mountable
from esap_wf.software.containers.runtime import Command, Found, Source, Task

#: udocker's own release of PRoot and the like, which it looks for by this number.
_ENGINES = "1.2.11"
#: Only a name: the folder that `--location` names is what runs.
_CONTAINER = "esap-wf"
#: Of images that say none; udocker's own lacks /usr/local.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Udocker:
    """See `esap_wf.software.containers.runtime.Runtime`."""

    name = "udocker"
    programs: tuple[str, ...] = ("udocker",)
    how_to_get = "pip install udocker, then `udocker install`, or PRoot 5.3 or newer on PATH"

    def detect(self, program: str, cache: Path) -> Found | str:
        """Its own engines if they are installed, else PRoot on PATH; tried with and without seccomp."""
        added = programs.environment(("UDOCKER_*", "PROOT_*"))
        folder = Path(added.get("UDOCKER_DIR") or Path.home() / ".udocker")
        if not (folder / "lib" / "VERSION").is_file():
            proot = added.get("UDOCKER_USE_PROOT_EXECUTABLE") or shutil.which("proot")
            if proot is None:
                return f"its engines are not installed in {folder}, and there is no proot on PATH"
            folder = cache / "containers" / "udocker"
            added |= {"UDOCKER_DIR": str(folder), "UDOCKER_USE_PROOT_EXECUTABLE": proot}
            try:
                (folder / "lib").mkdir(parents=True, exist_ok=True)
                # else it would try to download them, at each start
                (folder / "lib" / "VERSION").write_text(_ENGINES + "\n")
            except OSError as error:
                return f"{folder} can't be written: {error.strerror}"
        kept = cache / "containers" / "udocker-containers"
        added["UDOCKER_CONTAINERS"] = str(kept)
        try:
            kept.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return f"{kept} can't be written: {error.strerror}"
        base = ["--allow-root", "-q"] if os.getuid() == 0 else ["-q"]

        def probe() -> dict[str, object] | str:
            code, out, err = programs.ask([program, *base, "--version"], added)
            if code:
                return f"{program} doesn't start: {programs.last(err)}"
            root, mounts = programs.trial_root(cache)
            binds = [f"--volume={m}" for m in mounts]
            # on some kernels PRoot starts programs and translates no paths: they see this machine. An old one
            # can't list a folder
            tried = [
                "env",
                "-C",
                str(kept),
                program,
                *base,
                "run",
                *binds,
                f"--location={root}",
                _CONTAINER,
                "/bin/sh",
                "-c",
                f"ls /etc; ls /etc/{programs.TRIAL}; exit 0",
            ]
            why = ""
            # the variable counts even if it is empty
            for seccomp in ({}, {"PROOT_NO_SECCOMP": "1"}):
                code, listed, why = programs.ask(tried, {**added, **seccomp})
                if code == 0 and listed.count(programs.TRIAL) == 2:
                    return {"version": _version(out), "environment": seccomp}
            return f"it can't start a program here (PRoot 5.3 or newer is needed): {programs.last(why)}"

        answer = programs.remembered(cache, self.name, program, added, probe)
        if isinstance(answer, str):
            return answer
        own = (
            {str(k): str(v) for k, v in tried.items()}
            if isinstance(tried := answer["environment"], dict)
            else {}
        )
        return Found(program, str(answer["version"]), added | own, tuple(base))

    def choice(self, source: Source, found: Found, cache: Path, network: bool) -> ContainerChoice | str:
        """Archives are unpacked once; folders are used as they are."""
        if source.form == SIF:
            return "udocker can't read SIF files"
        if source.form == NAME:
            return (
                "esap-wf does not let udocker pull from registries: map the name to an archive "
                "([containers.map] in the configuration)"
            )
        if not network:
            return "udocker can't cut the network"
        made = source.form == ARCHIVE
        return ContainerChoice(
            image=source.text,
            reference=str(cache / "containers" / "rootfs" / source.key) if made else source.location,
            form=ROOTFS,
            digest=source.digest,
            runtime=self.name,
            program=found.program,
            archive=source.location if made else None,
            environment=found.environment,
            options=list(found.options),
        )

    def is_ready(self, choice: ContainerChoice) -> bool:
        """The folder is there."""
        return Path(choice.reference).is_dir()

    def prepare(self, choice: ContainerChoice, cache: Path, log: Path, stopped: Callable[[], bool]) -> None:
        """Unpack under a temporary name."""
        from esap_wf.errors import StoppedError
        from esap_wf.software.containers import archive

        def beat() -> None:
            if stopped():
                raise StoppedError("nobody is waiting for the container image any more")

        target = Path(choice.reference)
        temporary = target.with_name(f".{os.getpid()}.{target.name}")
        try:
            archive.unpack(Path(choice.archive or ""), temporary, beat)
            # the image's variables, which a folder has lost
            lines = archive.read_archive(Path(choice.archive or "")).environment
            target.with_suffix(".env").write_text(
                "\n".join(line for line in lines if line.isprintable()) + "\n", "utf-8"
            )
            temporary.rename(target)
        finally:
            if temporary.exists():
                shutil.rmtree(temporary, ignore_errors=True)

    def command(self, choice: ContainerChoice, task: Task) -> Command:
        """`run` of a folder. A signal must go to the process group: udocker itself hands none on."""
        work = mountable(task.workdir)
        # with --location it notes mount points in the current folder
        own_folder = (
            ["env", "-C", choice.environment["UDOCKER_CONTAINERS"]]
            if "UDOCKER_CONTAINERS" in choice.environment
            else []
        )
        argv = [
            *own_folder,
            choice.program,
            *choice.options,
            "run",
            f"--location={choice.reference}",
            f"--volume={work}:{work}",
            f"--workdir={mountable(task.start or task.workdir)}",
        ]
        if task.uid:
            argv += ["--hostauth", f"--user={task.uid}"]
        for path in (task.workdir, *task.writable, *task.read_only):
            _mount_point(Path(choice.reference), path)
        for path in (*task.writable, *task.read_only):
            argv += [f"--volume={mountable(path)}:{path}"]
        if task.scratch:
            argv += [f"--volume={mountable(task.scratch)}:/tmp"]
        kept = Path(choice.reference).with_suffix(".env")
        own = (
            dict(line.split("=", 1) for line in kept.read_text("utf-8").splitlines() if "=" in line)
            if kept.is_file()
            else {}
        )
        inside = {
            "PATH": _PATH,
            **own,
            **task.environment,
            **({RUN_VARIABLE: task.run} if task.run else {}),
            "HOME": work,
        }
        argv += [f"--env={k}={v}" for k, v in inside.items()]
        added = {**choice.environment, **({RUN_VARIABLE: task.run} if task.run else {})}
        # it drops empty words
        words = list(task.command) if all(task.command) else ["sh", "-c", shlex.join(task.command)]
        return Command([*argv, _CONTAINER, *words], added)

    def end(self, choice: ContainerChoice, label: str) -> None:
        """All of them are processes of the run."""


def _mount_point(root: Path, path: Path) -> None:
    """
    Make it ahead: udocker deletes at its end what it made, together with that of others who start at the same
    time.
    """
    target = root / path.relative_to("/")
    if target.exists() or not reading.real(target).is_relative_to(reading.real(root)):
        return
    try:
        (target if path.is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            target.touch()
    except OSError:
        pass  # then udocker tries


def _version(text: str) -> str:
    return next(
        (line.rsplit(":", 1)[1].strip() for line in text.splitlines() if line.startswith("version:")),
        "unknown",
    )
