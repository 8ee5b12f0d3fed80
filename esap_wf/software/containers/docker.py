"""
Docker and Podman: one command line, two ways to work. Containers are found by label, files belong to the
caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from esap_wf.models.plan import ContainerChoice
from esap_wf.runs.processes import ENGINE_VARIABLE, RUN_VARIABLE
from esap_wf.software.containers import programs, runtime
from esap_wf.software.containers.image import ARCHIVE, NAME, ROOTFS, SIF, mountable
from esap_wf.software.containers.runtime import Command, Found, Source, Task

#: The first removal fails where Podman's monitor of a container was killed: it waits in vain for word of its
#: end.
_TRIES = 3


class Docker:
    """See `esap_wf.software.containers.runtime.Runtime`."""

    name = "docker"
    programs: tuple[str, ...] = ("docker",)
    how_to_get = "install Docker, start its daemon, and be allowed to use its socket (or set DOCKER_HOST)"
    steers: tuple[str, ...] = ("DOCKER_*",)
    #: Archives that it loads itself.
    loads = "docker"

    def detect(self, program: str, cache: Path) -> Found | str:
        """Asks the daemon each time: it comes and goes."""
        added = programs.environment(self.steers)
        code, version, err = programs.ask([program, "version", "--format", "{{.Server.Version}}"], added)
        if code or not version:
            return f"its daemon does not answer: {programs.last(err)}"
        _, out, _ = programs.ask([program, "info", "--format", "{{.SecurityOptions}}|{{.InitBinary}}"], added)
        security, _, init = programs.last(out).rpartition("|")
        # a rootless daemon maps root inside to its user
        options = (["--user=0:0"] if "rootless" in security else []) + (["--init"] if init else [])
        return Found(program, version, added, tuple(options))

    def choice(self, source: Source, found: Found, cache: Path, network: bool) -> ContainerChoice | str:
        """Archives are loaded under a name of their content."""
        if source.form == SIF:
            return f"{self.name} can't read SIF files"
        if source.form == ROOTFS and not self._runs_folders():
            return f"{self.name} can't run a folder: make an archive from it"
        form, reference, options = NAME, source.location, list(found.options)
        if source.form == ARCHIVE:
            reference = f"localhost/esap-wf/by-content:{source.key[:40]}"
        elif source.form == ROOTFS:
            form = ROOTFS
        return ContainerChoice(
            image=source.text,
            reference=reference,
            form=form,
            digest=source.digest,
            runtime=self.name,
            program=found.program,
            network=network,
            archive=source.location if source.form == ARCHIVE else None,
            environment=found.environment,
            options=options,
        )

    def _runs_folders(self) -> bool:
        return False

    def is_ready(self, choice: ContainerChoice) -> bool:
        """The runtime knows the image; a folder needs nothing."""
        return choice.form == ROOTFS or self.image_id(choice) is not None

    def image_id(self, choice: ContainerChoice) -> str | None:
        """Digest of the configuration of the image that the runtime has under the name."""
        argv = [choice.program, "image", "inspect", "--format", "{{.Id}}", choice.reference]
        code, out, _ = programs.ask(argv, choice.environment)
        return None if code else "sha256:" + out.splitlines()[-1].removeprefix("sha256:")

    def prepare(self, choice: ContainerChoice, cache: Path, log: Path, stopped: Callable[[], bool]) -> None:
        """Load the archive and name it by content, or pull the name."""
        from esap_wf.software.containers import archive

        if choice.archive is None:
            argv = [choice.program, "pull", choice.reference]
            hint = (
                f"is its registry reachable from here? If not, map {choice.image} to an archive: "
                "[containers.map] in the configuration"
            )
            programs.carry_out(argv, choice.environment, log, stopped, choice.image, hint)
            return
        path = Path(choice.archive)
        contents = archive.read_archive(path)
        converted = path
        try:
            if contents.kind not in self.loads.split():
                folder = cache / "containers" / "converted"
                folder.mkdir(parents=True, exist_ok=True)
                converted = folder / f"{os.getpid()}-{contents.digest[7:]}.tar"
                archive.as_docker(path, converted)
            programs.carry_out(
                [choice.program, "load", "-i", str(converted)], choice.environment, log, stopped, choice.image
            )
            programs.carry_out(
                [choice.program, "tag", contents.digest, choice.reference],
                choice.environment,
                log,
                stopped,
                choice.image,
            )
        finally:
            if converted != path:
                converted.unlink(missing_ok=True)

    def command(self, choice: ContainerChoice, task: Task) -> Command:
        """
        `run`, without pulling.

        The signal goes from the command line to the container's init, and from there to the command.
        """
        work = mountable(task.workdir)
        argv = [choice.program, "run", "--rm", "--security-opt=no-new-privileges", *choice.options]
        if not any(o.startswith("--user=") for o in choice.options):
            argv += [f"--user={task.uid}:{task.gid}"]
        if choice.form != ROOTFS:
            argv += ["--pull=never"]
        argv += ["--entrypoint=", f"--workdir={mountable(task.start or task.workdir)}"]
        argv += [f"--mount=type=bind,source={work},target={work}"]
        for path in task.writable:
            argv += [f"--mount=type=bind,source={mountable(path)},target={path}"]
        for path in task.read_only:
            argv += [f"--mount=type=bind,source={mountable(path)},target={path},readonly"]
        if task.scratch:
            argv += [f"--mount=type=bind,source={mountable(task.scratch)},target=/tmp"]
        if not choice.network:
            argv += ["--network=none"]
        argv += [f"--env={k}={v}" for k, v in {**task.environment, "HOME": work}.items()]
        added = dict(choice.environment)
        keys = {k: v for k, v in ((RUN_VARIABLE, task.run), (ENGINE_VARIABLE, task.engine)) if v}
        argv += runtime.labels(keys)
        if task.run:
            argv += [f"--env={RUN_VARIABLE}={task.run}"]
            added[RUN_VARIABLE] = task.run
        return Command([*argv, *self._image(choice), *task.command], added)

    def _image(self, choice: ContainerChoice) -> list[str]:
        return [choice.reference]

    def end(self, choice: ContainerChoice, label: str) -> None:
        """
        Kill by label: a container is a child of the daemon, or of nobody, when its command line was killed;
        also if it was only made.
        """
        argv = [choice.program, "ps", "--all", "--quiet", "--filter", f"label={label}"]
        for _ in range(_TRIES):
            _, out, _ = programs.ask(argv, choice.environment)
            if not (left := out.split()):
                return
            programs.ask([choice.program, "rm", "--force", *left], choice.environment, 60)


class Podman(Docker):
    """Podman: no daemon, and it can run a folder."""

    name = "podman"
    programs: tuple[str, ...] = ("podman",)
    how_to_get = "install Podman"
    steers = ("CONTAINERS_*", "CONTAINER_HOST", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")
    loads = "docker oci"

    def detect(self, program: str, cache: Path) -> Found | str:
        """Runs a container once: limits of resources and control groups fail only then."""
        added = programs.environment(self.steers)

        def probe() -> dict[str, object] | str:
            code, out, err = programs.ask([program, "--version"], added)
            if code:
                return f"{program} doesn't start: {programs.last(err)}"
            root, mounts = programs.trial_root(cache)
            binds = [f"--volume={m}:{m}:ro" for m in mounts]
            for options in (["--init"], []):
                own = [*options, *self._own_user()]
                tried = [
                    program,
                    "run",
                    "--rm",
                    "--network=none",
                    *own,
                    *binds,
                    "--rootfs",
                    f"{root}:O",
                    "/bin/true",
                ]
                code, _, err = programs.ask(tried, added, 60)
                if code == 0:
                    return {"version": out.rsplit(" ", 1)[-1], "options": own}
            return f"it can't start a container here: {programs.last(err)}"

        return programs.found_by_trial(cache, self.name, program, added, probe)

    @staticmethod
    def _own_user() -> list[str]:
        return ["--userns=keep-id"] if os.getuid() else []

    def _runs_folders(self) -> bool:
        return True

    def _image(self, choice: ContainerChoice) -> list[str]:
        # :O is an overlay: what is written to the folder is dropped at the end
        return ["--rootfs", f"{choice.reference}:O"] if choice.form == ROOTFS else [choice.reference]
