"""A folder that says how an image is built: ``image.yaml`` and ``build.sh``. Our own stand in
``containers/``.

``bash build.sh ROOT`` fills a root file system, offline; esap-wf packs it as a Docker archive, cached by the
folder's content. If the image names requirements, the script finds the Python of their environment in
``PYTHON``.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from esap_wf.code.contents import of_folders
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.models import Model
from esap_wf.models.manifest import Name, Text
from esap_wf.software import environments
from esap_wf.software.containers import archive, programs
from esap_wf.software.containers.image import NAME, Image, parse

_Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Described(Model, frozen=True, kw_only=True):
    """
    ``image.yaml``; `base` is a folder beside it, whose ``build.sh`` goes first. `python` is a file of pinned
    requirements, relative to the folder: their environment is built first, here.
    """

    schema_version: int
    name: Text
    title: Text
    base: Name | None = None
    python: Text | None = None
    environment: dict[_Variable, str] = {}


@dataclass(frozen=True, slots=True)
class Folder:
    """
    An image that is built here.

    Parameters
    ----------
    path : Path
    image : Image
        Its name.
    described : Described
    """

    path: Path
    image: Image
    described: Described

    def key(self) -> str:
        """Content of the folder and those below it, of the requirements, and the architecture."""
        code = of_folders({str(n): f.path for n, f in enumerate(self.stack())})
        parts = [code, archive.architecture()]
        if requirements := self.requirements():
            parts.append(environments.location(requirements, Path()).name)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def requirements(self) -> Path | None:
        """
        The pinned requirements of the image, its own before those of what it is built on.

        Raises
        ------
        UsageError
            There is no such file.
        """
        found = next((f for f in reversed(self.stack()) if f.described.python), None)
        if found is None:
            return None
        path = found.path / str(found.described.python)
        if not path.is_file():
            raise UsageError(
                "an image is not valid",
                [Problem(str(found.path / "image.yaml"), f"python: {path} does not exist")],
            )
        return path

    def stack(self) -> list[Folder]:
        """
        The folders that fill the root file system, the lowest first.

        Raises
        ------
        UsageError
            A base is missing, or is built on itself.
        """
        found = [self]
        while found[0].described.base:
            below = found[0].path.parent / found[0].described.base
            if below in [f.path for f in found]:
                raise UsageError(
                    "an image is not valid",
                    [Problem(str(self.path / "image.yaml"), f"the base {below.name} is based on itself")],
                )
            found.insert(0, read_folder(below))
        return found

    def location(self, cache: Path) -> Path:
        """Where its archive is, or will be."""
        return cache / "containers" / "built" / f"{self.key()[:40]}.tar"


def read_folder(path: Path) -> Folder:
    """
    Read a folder's ``image.yaml``.

    Raises
    ------
    UsageError
        It is not valid, or ``build.sh`` is missing.
    """
    described = schemas.convert(documents.load(path / "image.yaml"), Described, "image")
    image = parse(described.name)
    if image.form != NAME or image.digest:
        raise UsageError(
            "an image is not valid",
            [Problem(str(path / "image.yaml"), f"{described.name!r} is not of the form name:tag")],
        )
    if not (path / "build.sh").is_file():
        raise UsageError("an image is not valid", [Problem(str(path), "has no build.sh")])
    return Folder(path, image, described)


def own() -> Iterator[Folder]:
    """The images that come with esap-wf."""
    package = Path(__file__).parents[2]
    for root in (package.parent / "containers", package / "bundled" / "containers"):
        for file in sorted(root.glob("*/image.yaml")):
            yield read_folder(file.parent)


def build(
    folder: Folder, cache: Path, log: Path | None = None, stopped: Callable[[], bool] = lambda: False
) -> Path:
    """
    The archive of an image; built if it isn't there.

    Raises
    ------
    UnavailableError
        ``build.sh`` failed; shows its last lines.
    StoppedError
        `stopped` said so.
    """
    target = folder.location(cache)
    if target.is_file():
        return target
    with environments.locked(target.with_suffix(".lock"), stopped):
        if target.is_file():
            return target
        work = Path(tempfile.mkdtemp(prefix=".build-", dir=target.parent))
        try:
            (work / "root").mkdir()
            given = {"LC_ALL": "C.UTF-8"}
            if requirements := folder.requirements():
                given["PYTHON"] = str(
                    environments.build(requirements, cache, log, stopped) / "bin" / "python"
                )
            for step in folder.stack():
                script = str(step.path / "build.sh")
                argv = ["bash", script, str(work / "root")]
                hint = f"{step.path.name}/README.md says what it needs"
                programs.carry_out(argv, given, log or target.with_suffix(".log"), stopped, script, hint)
            packed = work / "image.tar"
            archive.pack(
                work / "root",
                packed,
                folder.image.full_name,
                folder.described.environment,
                archive.architecture(),
            )
            packed.replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target
