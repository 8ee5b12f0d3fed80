"""Apptainer (and Singularity): SIF files and folders, without a daemon, as the user who calls it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from esap_wf.models.plan import ContainerChoice
from esap_wf.runs.processes import RUN_VARIABLE
from esap_wf.software.containers import programs
from esap_wf.software.containers.image import ARCHIVE, NAME, ROOTFS, SIF, mountable
from esap_wf.software.containers.runtime import Command, Found, Source, Task

#: Sets of options that are tried in turn. Root in a virtual machine or a container may lack capabilities that
#: Apptainer asks for.
_TRIED: tuple[tuple[str, ...], ...] = ((), ("--no-privs",), ("--userns",))
#: Where SIFs can't be mounted (no FUSE, no setuid installation) they are unpacked at each start.
_UNSQUASH = "--unsquash"
_STEERS = (
    "APPTAINER_CACHEDIR",
    "APPTAINER_TMPDIR",
    "APPTAINER_CONFIGDIR",
    "SINGULARITY_CACHEDIR",
    "SINGULARITY_TMPDIR",
)


class Apptainer:
    """See `esap_wf.software.containers.runtime.Runtime`."""

    name = "apptainer"
    programs: tuple[str, ...] = ("apptainer", "singularity")
    how_to_get = "install Apptainer 1.1 or newer (it needs no root to run)"

    def detect(self, program: str, cache: Path) -> Found | str:
        """Tries a command with each set of options."""
        added = programs.environment(_STEERS)

        def probe() -> dict[str, object] | str:
            code, out, err = programs.ask([program, "--version"], added)
            if code:
                return f"{program} doesn't start: {programs.last(err)}"
            root, mounts = programs.trial_root(cache)
            for options in _TRIED:
                tried = [
                    program,
                    "-q",
                    "exec",
                    *options,
                    "--contain",
                    "--pid",
                    "--bind",
                    ",".join(mounts),
                    str(root),
                    "/bin/true",
                ]
                code, _, err = programs.ask(tried, added)
                if code == 0:
                    own = [
                        *options,
                        *([] if self._mounts_sif(program, options, root, mounts, added) else [_UNSQUASH]),
                    ]
                    return {"version": out.rsplit(" ", 1)[-1], "options": own}
            return f"it can't start a container here: {programs.last(err)}"

        return programs.found_by_trial(cache, self.name, program, added, probe)

    @staticmethod
    def _mounts_sif(
        program: str, options: tuple[str, ...], root: Path, mounts: list[str], added: dict[str, str]
    ) -> bool:
        sif = root.with_name(f"trial-{os.getpid()}.sif")
        try:
            build = [
                program,
                "build",
                "--force",
                *[o for o in options if o == "--userns"],
                str(sif),
                str(root),
            ]
            if programs.ask(build, added, 60)[0]:
                return True  # it can't build any (no mksquashfs): what others have built may work
            tried = [
                program,
                "-q",
                "exec",
                *options,
                "--contain",
                "--pid",
                "--bind",
                ",".join(mounts),
                str(sif),
                "/bin/true",
            ]
            return programs.ask(tried, added)[0] == 0
        finally:
            sif.unlink(missing_ok=True)

    def choice(self, source: Source, found: Found, cache: Path, network: bool) -> ContainerChoice | str:
        """
        SIF and folders as they are; of archives and names a SIF is made, once, or a folder where SIFs can't
        be mounted.
        """
        options, form, reference = list(found.options), source.form, source.location
        if form in (ARCHIVE, NAME):
            form = ROOTFS if _UNSQUASH in options else SIF
            made = f"sandbox/{source.key}" if form == ROOTFS else f"sif/{source.key}.sif"
            reference = str(cache / "containers" / made)
        if form == ROOTFS and _UNSQUASH in options:
            options.remove(_UNSQUASH)
        return ContainerChoice(
            image=source.text,
            reference=reference,
            form=form,
            digest=source.digest,
            runtime=self.name,
            program=found.program,
            network=network,
            environment=found.environment,
            options=options,
            archive=source.location
            if source.form == ARCHIVE
            else f"docker://{source.location}"
            if source.form == NAME
            else None,
        )

    def is_ready(self, choice: ContainerChoice) -> bool:
        """The SIF, or the folder, is there."""
        return Path(choice.reference).exists()

    def prepare(self, choice: ContainerChoice, cache: Path, log: Path, stopped: Callable[[], bool]) -> None:
        """Build the SIF or the folder under a temporary name."""
        from esap_wf.software.containers import archive

        target, source = Path(choice.reference), choice.archive or ""
        if not source.startswith("docker://"):
            source = f"{archive.read_archive(Path(source)).kind}-archive:{source}"
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{os.getpid()}.{target.name}")
        own = ["--userns"] if "--userns" in choice.options else []
        try:
            hint = (
                "the log says more; to pull an image, its registry must be reachable from here"
                if source.startswith("docker://")
                else ""
            )
            form = ["--sandbox"] if choice.form == ROOTFS else []
            argv = [choice.program, "build", "--force", *own, *form, str(temporary), source]
            programs.carry_out(argv, choice.environment, log, stopped, choice.image, hint)
            temporary.rename(target)
        finally:
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            temporary.unlink(missing_ok=True)

    def command(self, choice: ContainerChoice, task: Task) -> Command:
        """
        `exec` in namespaces of its own, nothing of the home or the environment let in.

        With ``--pid`` a signal to Apptainer reaches the command, and its end is the end of all. Values go by
        the environment with ``--no-eval``: without it the shell inside would carry out what stands in
        ``$(…)``.
        """
        work = mountable(task.workdir)
        argv = [
            choice.program,
            "-q",
            "exec",
            *choice.options,
            "--no-eval",
            "--cleanenv",
            "--contain",
            "--pid",
            "--ipc",
        ]
        argv += ["--no-mount", "home,cwd", "--home", work, "--bind", f"{work}:{work}"]
        argv += ["--pwd", mountable(task.start or task.workdir)]
        for path in task.writable:
            argv += ["--bind", f"{mountable(path)}:{path}"]
        for path in task.read_only:
            argv += ["--bind", f"{mountable(path)}:{path}:ro"]
        if task.scratch:
            argv += ["--no-mount", "tmp", "--bind", f"{mountable(task.scratch)}:/tmp"]
        if not choice.network:
            argv += ["--net", "--network", "none"]
        inside = {**task.environment, **({RUN_VARIABLE: task.run} if task.run else {})}
        added = {**choice.environment, **{f"APPTAINERENV_{k}": v for k, v in inside.items() if k != "HOME"}}
        if task.run:
            added[RUN_VARIABLE] = task.run
        return Command([*argv, choice.reference, *task.command], added)

    def end(self, choice: ContainerChoice, label: str) -> None:
        """All of them are processes of the run."""
