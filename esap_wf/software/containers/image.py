"""What an image is called: archive, SIF, root file system or a name that a registry or a runtime knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from esap_wf.errors import Problem, UsageError

#: Forms of an image, and the one of a folder that says how it is built
#: (`esap_wf.software.containers.folder`).
ARCHIVE, SIF, ROOTFS, NAME, FOLDER = "archive", "sif", "rootfs", "name", "folder"

# the grammar of references that registries and runtimes share; what starts with a dash would be an option
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?P<name>(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{{1,5}})?)/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_PIN = re.compile(r"@(sha256:[0-9a-f]{64})$")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
_EXAMPLES = "docker-archive:PATH, oci-archive:PATH, PATH.tar, PATH.sif, a folder as ./PATH, or name:tag"


@dataclass(frozen=True, slots=True)
class Image:
    """
    An image as it is named.

    Parameters
    ----------
    text : str
        As written.
    form : str
        ``archive``, ``sif``, ``rootfs``, ``name`` or ``folder``.
    path : Path, optional
        Absolute, of all but names.
    name, tag : str
        Of names.
    digest : str, optional
        The one that is asked for (``…@sha256:…``).
    """

    text: str
    form: str
    path: Path | None = None
    name: str = ""
    tag: str = ""
    digest: str | None = None

    @property
    def full_name(self) -> str:
        """Name as a runtime is asked for it: the digest if there is one, else the tag."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag or 'latest'}"

    @property
    def registry(self) -> str:
        """Host from which the name would be pulled."""
        host, _, rest = self.name.partition("/")
        return (
            host
            if rest and ("." in host or ":" in host or host == "localhost" or host != host.lower())
            else "docker.io"
        )


def parse(text: str, base: Path | None = None) -> Image:
    """
    Read the text that names an image.

    Parameters
    ----------
    text : str
    base : Path, optional
        Folder to which relative paths belong; the current one otherwise.

    Raises
    ------
    UsageError
        It names no image.
    """
    if not text or len(text) > 1000 or not text.isprintable():
        raise _wrong(text[:80], "is empty, too long, or contains control characters")
    if text.startswith("-"):
        raise _wrong(text, "starts with a dash")
    scheme, colon, rest = text.partition(":")
    if scheme in {"docker-archive", "oci-archive", "rootfs", "sif"} and colon:
        pin = _PIN.search(rest)
        form = {"rootfs": ROOTFS, "sif": SIF}.get(scheme, ARCHIVE)
        return Image(
            text,
            form,
            _path(text, rest[: pin.start()] if pin else rest, base),
            digest=pin[1] if pin else None,
        )
    if "://" in text:
        if scheme != "docker":
            raise _wrong(text, f"{scheme}:// is not supported")
        return _named(text, rest[2:])
    pin = _PIN.search(text)
    plain = text[: pin.start()] if pin else text
    suffix = plain.rstrip("/").lower()
    looks_like_path = plain.startswith(("/", "./", "../", "~")) or plain.endswith("/")
    if suffix.endswith((".sif", ".simg", *_ARCHIVES)) and (looks_like_path or ":" not in plain):
        form = ARCHIVE if suffix.endswith(_ARCHIVES) else SIF
        return Image(text, form, _path(text, plain, base), digest=pin[1] if pin else None)
    if looks_like_path:
        path = _path(text, plain, base)
        return Image(
            text, FOLDER if (path / "image.yaml").is_file() else ROOTFS, path, digest=pin[1] if pin else None
        )
    return _named(text, text)


def standing_for(text: str, mapping: Mapping[str, str]) -> str | None:
    """What a place's profile names for an image, by any of the texts that mean it."""
    keys = [text]
    try:
        found = parse(text)
        if found.name:
            keys += [f"docker://{found.text}", found.full_name]
            keys += [f"{found.name}:{found.tag or 'latest'}", found.name]
    except UsageError:
        pass
    return next((mapping[key] for key in keys if key in mapping), None)


def mountable(path: Path) -> str:
    """
    The text of a path that all runtimes can mount.

    Raises
    ------
    UsageError
        The path can't be written into a runtime's mount option.
    """
    text = str(path)
    if not path.is_absolute() or not text.isprintable() or set(text) & set(":,\"'\\"):
        hint = (
            "container runtimes use these characters to separate and quote mounts: use a store or an "
            "input without them"
        )
        raise UsageError(
            "a path can't be mounted into a container",
            [Problem(ascii(text), "is relative, or contains one of : , \" ' \\", hint)],
        )
    return text


def _named(text: str, rest: str) -> Image:
    match = _NAME.fullmatch(rest)
    if not match:
        raise _wrong(text, "is not the name of an image")
    return Image(text, NAME, name=match["name"], tag=match["tag"] or "", digest=match["digest"])


def _path(text: str, rest: str, base: Path | None) -> Path:
    if not rest or rest.startswith("-"):
        raise _wrong(text, "has no path")
    try:
        path = Path(rest).expanduser()
    except RuntimeError as error:
        raise _wrong(text, str(error)) from None
    path = ((base or Path.cwd()) / path).absolute()
    mountable(path)  # a runtime is given it as an argument, and Apptainer splits some of them
    return path


def _wrong(text: str, what: str) -> UsageError:
    return UsageError(
        "the name of a container image is not valid", [Problem(ascii(text), what, f"write {_EXAMPLES}")]
    )
