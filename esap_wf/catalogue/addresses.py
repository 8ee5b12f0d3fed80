"""Addresses of repositories: ``URL[@REF][#PART][#ITEM]``. Only what is safe to hand to git is one."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, quote, unquote, urlsplit

from esap_wf.errors import Problem, UsageError

SCHEMES = ("https", "http", "ssh", "git", "file")
_URL = re.compile(rf"(?:git\+)?(?:{'|'.join(SCHEMES)})://", re.IGNORECASE)
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)[^\s]+")
#: git-check-ref-format(1), and nothing that could be an option or a refspec.
_REF = re.compile(r"(?!-)(?!.*(?:\.\.|@\{|//|/\.|\.lock(?:/|$)))[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}(?<![./])")
_PATH = re.compile(
    "(?![-/~])(?!.*(?:^|/)\\.{1,2}(?:/|$))[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]{1,250}"
)
_LITERAL = "/+:,@=&!$*()[]{}~;'"
_CONTROL = re.compile("[\x00-\x20\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Wrong(Protocol):
    """Makes the error that an address is."""

    def __call__(self, what: str, hint: str = "") -> UsageError: ...


@dataclass(frozen=True)
class Reference:
    """
    ``URL[@REF][#PART][#ITEM]``.

    Parameters
    ----------
    url : str
    ref : str, optional
        Branch, tag or commit; None for the repository's default branch.
    parts : tuple of str
        At most two: a path or the name of a manifest in the repository, and an item of the file.
    """

    url: str
    ref: str | None = None
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        # what means something in the reference itself is quoted, spaces too
        return (
            self.url
            + (f"@{self.ref}" if self.ref else "")
            + "".join(f"#{quote(p, safe=_LITERAL)}" for p in self.parts)
        )

    @property
    def name(self) -> str:
        """The repository's name, as a folder may be called."""
        last = (
            self.url.rstrip("/")
            .removesuffix("/.git")
            .removesuffix(".git")
            .replace(":", "/")
            .rsplit("/", 1)[-1]
        )
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", unquote(last)).strip("-.")[:60] or "repository"


def is_url(text: str) -> bool:
    """
    Whether a text means a repository: a URL, ``user@host:path``, or a path of one with ``@REF``, or of a bare
    one.
    """
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        if Path(text).expanduser().exists():
            return _local(text) is not None
    return bool(_URL.match(text) or _SCP.match(text) or "::" in text or _local(text))


def _local(text: str) -> tuple[Path, str] | None:
    """
    A bare repository, or ``PATH@REF`` of a repository, on this machine: its path, and what stands behind it.
    """
    if "/" not in text and not text.endswith(".git") and ".git@" not in text and ".git#" not in text:
        return None
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        if Path(text).expanduser().exists():
            return (Path(text), "") if _is_bare(Path(text).expanduser()) else None
        for match in re.finditer(r"[@#]", text):
            path, rest = Path(text[: match.start()]).expanduser(), text[match.start() :]
            if path.is_dir() and (_is_bare(path) or (match[0] == "@" and (path / ".git").exists())):
                return path, rest
    return None


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def parse(text: str) -> Reference:
    """
    Read a reference.

    Raises
    ------
    UsageError
        It is none, or one that is not safe to hand to git.
    """

    def wrong(what: str, hint: str = "") -> UsageError:
        return UsageError(
            "the address of the repository is not valid", [Problem(ascii(text[:200])[1:-1], what, hint)]
        )

    local = _local(text)
    if local:
        text = local[0].expanduser().absolute().as_uri() + local[1]
    if _CONTROL.search(text):
        raise wrong("contains spaces or control characters", "write a space as %20")
    address, *rest = text.split("#")
    parts = tuple(unquote(p) for p in rest)
    if len(parts) > 2 or any(not _PATH.fullmatch(p) for p in parts):
        raise wrong("what follows # is not a name or a path in the repository")
    read = _scp if _SCP.fullmatch(address) else _url
    url, ref = read(address, wrong)
    if ref is not None and not _REF.fullmatch(ref):
        raise wrong(f"{ref[:80]!r} is not a branch, tag or commit")
    return Reference(url, ref, parts)


def _scp(address: str, wrong: Wrong) -> tuple[str, str | None]:
    """URL and ref of ``user@host:path``."""
    host, path = address.split(":", 1)
    path, ref = _cut(path)
    if path.startswith("-") or "::" in address:
        raise wrong("is not an address that is safe to hand to git")
    return f"ssh://{host}/{path}", ref


def _url(address: str, wrong: Wrong) -> tuple[str, str | None]:
    """URL and ref of a URL that is safe to hand to git, and to store."""
    address = re.sub(r"^git\+", "", address, flags=re.IGNORECASE)
    if not _URL.match(address):
        schemes = ", ".join(s + "://" for s in SCHEMES)
        raise wrong("is not the address of a repository", f"one of {schemes}, or user@host:path")
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError as error:
        raise wrong(f"is not a URL: {error}") from None
    if (url.scheme in {"http", "https"} and url.username is not None) or url.password is not None:
        raise wrong(
            "contains a user name or password, which would be stored with the run",
            "let git's credential helper supply it",
        )
    _confirm_host(url, wrong)
    path, ref = _cut(url.path)
    if path in {"", "/"}:
        raise wrong("names no repository on the host")
    scheme = url.scheme.lower()
    return f"{scheme}://{'' if scheme == 'file' else url.netloc}{path}", ref


def _confirm_host(url: SplitResult, wrong: Wrong) -> None:
    if url.scheme == "file" and url.netloc not in {"", "localhost"}:
        raise wrong("a file:// URL names a repository of this machine")
    if url.scheme != "file" and not url.hostname:
        raise wrong("names no host")
    if (url.hostname or "").startswith("-") or (url.username or "").startswith("-") or url.query:
        raise wrong("is not an address that is safe to hand to git")


def _cut(path: str) -> tuple[str, str | None]:
    """Path and ref: an @ at the beginning of a part of the path belongs to the path."""
    at = path.rfind("@")
    return (path[:at], path[at + 1 :]) if at > 0 and path[at - 1] != "/" else (path, None)
