"""Code from git repositories: found by URL and ref, pinned to a commit, kept in the cache by commit.

git is a subprocess that can ask nobody anything: runs are detached, so a repository that wants a password
fails at once. What a repository holds is never executed here (no hooks, no ``ext::`` transports, no submodule
commands).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from esap_wf.code.repositories import OWN_VARIABLES
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, RefusedError, UnavailableError, UsageError
from esap_wf.runs.folders import delete_tree

SCHEMES = ("https", "http", "ssh", "git", "file")
#: Seconds for the answer of a server, and for a whole download; a download that stands still ends earlier
#: (`_STALLED`).
ANSWER, DOWNLOAD = 60, 1800
_STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(rf"(?:git\+)?(?:{'|'.join(SCHEMES)})://", re.IGNORECASE)
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)[^\s]+")
#: git-check-ref-format(1), and nothing that could be an option or a refspec.
_REF = re.compile(r"(?!-)(?!.*(?:\.\.|@\{|//|/\.|\.lock(?:/|$)))[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}(?<![./])")
_PATH = re.compile(
    "(?![-/~])(?!.*(?:^|/)\\.{1,2}(?:/|$))[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]{1,250}"
)
_PLAIN = "/+:,@=&!$*()[]{}~;'"
_CONTROL = re.compile("[\x00-\x20\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
            + "".join(f"#{quote(p, safe=_PLAIN)}" for p in self.parts)
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


@dataclass(frozen=True)
class Source:
    """A repository's files at one commit: `folder` is never written again."""

    url: str
    commit: str
    folder: Path


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
    place, *parts = text.split("#")
    parts = [unquote(p) for p in parts]
    if len(parts) > 2 or any(not _PATH.fullmatch(p) for p in parts):
        raise wrong("what follows # is not a name or a path in the repository")
    if _SCP.fullmatch(place):
        host, path = place.split(":", 1)
        path, ref = _cut(path)
        if path.startswith("-") or "::" in place:
            raise wrong("is not an address that is safe to hand to git")
        return Reference(f"ssh://{host}/{path}", _checked(ref, wrong), tuple(parts))
    place = re.sub(r"^git\+", "", place, flags=re.IGNORECASE)
    if not _URL.match(place):
        raise wrong(
            "is not the address of a repository",
            f"one of {', '.join(s + '://' for s in SCHEMES)}, or user@host:path",
        )
    try:
        url = urlsplit(place)
        _ = url.port
    except ValueError as error:
        raise wrong(f"is not a URL: {error}") from None
    if (url.scheme in {"http", "https"} and url.username is not None) or url.password is not None:
        raise wrong(
            "contains a user name or password, which would be stored with the run",
            "let git's credential helper supply it",
        )
    if url.scheme == "file" and url.netloc not in {"", "localhost"}:
        raise wrong("a file:// URL names a repository of this machine")
    if url.scheme != "file" and not url.hostname:
        raise wrong("names no host")
    if (url.hostname or "").startswith("-") or (url.username or "").startswith("-") or url.query:
        raise wrong("is not an address that is safe to hand to git")
    path, ref = _cut(url.path)
    if path in {"", "/"}:
        raise wrong("names no repository on the host")
    scheme = url.scheme.lower()
    return Reference(
        f"{scheme}://{'' if scheme == 'file' else url.netloc}{path}", _checked(ref, wrong), tuple(parts)
    )


def _cut(path: str) -> tuple[str, str | None]:
    """Path and ref: an @ at the beginning of a part of the path belongs to the path."""
    at = path.rfind("@")
    return (path[:at], path[at + 1 :]) if at > 0 and path[at - 1] != "/" else (path, None)


def _checked(ref: str | None, wrong: Callable[[str], UsageError]) -> str | None:
    if ref is not None and not _REF.fullmatch(ref):
        raise wrong(f"{ref[:80]!r} is not a branch, tag or commit")
    return ref


def fetch(reference: Reference, config: Config) -> Source:
    """
    A repository's files at the commit that a reference means now.

    Parameters
    ----------
    reference : Reference
    config : Config
        Whose cache keeps them. A commit that is there needs no network.

    Raises
    ------
    NotFoundError
        There is no such repository, or no such ref in it.
    UnavailableError
        git is missing, the host does not answer, or it asks for a password.
    """
    home = config.cache / "sources" / hashlib.sha256(reference.url.encode()).hexdigest()[:20]
    if reference.ref and _COMMIT.fullmatch(reference.ref) and (kept := _kept(home, reference.ref, reference)):
        return kept
    commit, wanted = _resolve(reference, home)
    if commit and (kept := _kept(home, commit, reference)):
        return kept
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two starts download once
            if commit and (kept := _kept(home, commit, reference)):
                return kept
            for left in home.glob("new-*"):  # of a download that was killed: who has the lock is alone
                delete_tree(left)
            return _download(reference, home, commit, wanted)
    except OSError as error:
        raise RefusedError(
            "a repository can't be kept", [Problem(str(home), error.strerror or str(error), "ESAP_WF_CACHE")]
        ) from None


def _kept(home: Path, commit: str, reference: Reference) -> Source | None:
    folder = home / commit / reference.name
    if not folder.is_dir():
        return None
    if folder.stat().st_mode & 0o200:  # of an earlier version, or the last one was cut off
        _close(folder)
    return Source(reference.url, commit, folder)


def _close(folder: Path) -> None:
    """
    Take all write bits away: a commit is what it is, whoever looks into the cache. The top comes last, when
    all is done.
    """
    for base, _, names in os.walk(folder, topdown=False):
        for path in (*(Path(base, n) for n in names), Path(base)):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o222:
                with contextlib.suppress(PermissionError):  # another user's, who has it all
                    path.chmod(stat.S_IMODE(mode) & ~0o222)


def known(config: Config, url: str) -> list[str]:
    """Commits of a repository that are in the cache, the last used first."""
    home = config.cache / "sources" / hashlib.sha256(url.encode()).hexdigest()[:20]
    with contextlib.suppress(OSError):
        return [
            p.name
            for p in sorted(home.iterdir(), key=lambda p: -p.stat().st_mtime)
            if _COMMIT.fullmatch(p.name)
        ]
    return []


def _resolve(reference: Reference, home: Path) -> tuple[str | None, str]:
    """The commit that a ref means (None for an abbreviated commit), and the name by which git fetches it."""
    ref = reference.ref
    if ref and _COMMIT.fullmatch(ref):
        return ref, ref
    names = (
        [ref]
        if ref and ref.startswith("refs/")
        else ["HEAD"]
        if ref is None
        else [f"refs/tags/{ref}", f"refs/heads/{ref}"]
    )
    out = _git(
        ["ls-remote", "--", reference.url, *names, *(f"{n}^{{}}" for n in names)], reference, home, ANSWER
    )
    there = {name: commit for commit, _, name in (line.partition("\t") for line in out.splitlines())}
    found = {name: there.get(f"{name}^{{}}", there[name]) for name in names if name in there}
    if len(set(found.values())) > 1:
        hint = " or ".join(f"@{name}" for name in found)
        raise UsageError(
            "a ref is ambiguous", [Problem(str(reference), f"{ref} is a tag and a branch", f"write {hint}")]
        )
    if found:
        name, commit = next(iter(found.items()))
        return commit, name
    if ref is None:
        raise NotFoundError(
            "the repository is empty",
            [Problem(reference.url, "has no default branch", "name one: URL@BRANCH")],
        )
    if re.fullmatch(r"[0-9a-f]{7,39}", ref):
        return None, ref
    raise NotFoundError(
        "there is no such ref",
        [Problem(str(reference), f"the repository has no branch, tag or commit {ref!r}")],
    )


def _download(reference: Reference, home: Path, commit: str | None, wanted: str) -> Source:
    with tempfile.TemporaryDirectory(prefix="new-", dir=home) as temporary:
        tree = Path(temporary) / reference.name
        tree.mkdir()
        for argv in (["init", "--quiet", "."], ["remote", "add", "origin", reference.url]):
            _git(argv, reference, tree, ANSWER)
        shallow = ["fetch", "--quiet", "--no-tags", "--depth", "1", "--no-recurse-submodules", "origin"]
        everything = [
            "fetch",
            "--quiet",
            "--force",
            "--no-recurse-submodules",
            "origin",
            "+refs/*:refs/upstream/*",
        ]
        try:
            _git([*shallow, wanted] if commit else everything, reference, tree, DOWNLOAD)
        except (NotFoundError, UnavailableError) as error:
            # not every server gives a commit that is no tip by its name, and one that only has files knows no
            # depth
            if wanted != commit and "shallow" not in str(error):
                raise
            _git(everything, reference, tree, DOWNLOAD)
        try:
            out = _git(
                ["rev-parse", "--verify", "--quiet", f"{commit or wanted}^{{commit}}"],
                reference,
                tree,
                ANSWER,
            ).strip()
        except NotFoundError:
            what = (
                f"the repository has no branch, tag or commit {reference.ref!r}, or several that begin "
                "with this"
            )
            raise NotFoundError("there is no such commit", [Problem(str(reference), what)]) from None
        commit = out
        _git(["checkout", "--quiet", "--force", "--detach", commit], reference, tree, DOWNLOAD)
        if (tree / ".gitmodules").is_file():
            _git(["submodule", "--quiet", "update", "--init", "--recursive"], reference, tree, DOWNLOAD)
        for entry in [*tree.rglob(".git")]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        kept = home / commit
        kept.mkdir(exist_ok=True)
        # another cache user on a file system without locks was quicker: same content
        with contextlib.suppress(OSError):
            tree.rename(kept / reference.name)
        _close(kept / reference.name)
        return Source(reference.url, commit, kept / reference.name)


def _environment(url: str) -> dict[str, str]:
    ssh = os.environ.get("GIT_SSH_COMMAND") or "ssh"
    kept = {k: v for k, v in os.environ.items() if k not in OWN_VARIABLES}
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "GIT_SSH_COMMAND": f"{ssh} -oBatchMode=yes -oConnectTimeout=20",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
        # of submodules too: what comes from the network must not reach into this machine's folders
        "GIT_ALLOW_PROTOCOL": ":".join(s for s in SCHEMES if s != "file" or url.startswith("file:")),
    }


def _git(argv: list[str], reference: Reference, folder: Path, seconds: float) -> str:
    """Output of one git command."""
    program = shutil.which("git")
    if program is None:
        raise UnavailableError(
            "git is missing",
            [Problem("git", "is not on PATH", "install git, or give the path of a clone made elsewhere")],
        )
    # line ends and hooks are the user's business in his own clones, not here: a commit means the same bytes
    # everywhere
    safe = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.autocrlf=false",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.askPass=",
        *_STALLED,
    ]
    folder = next(p for p in [folder, *folder.parents] if p.is_dir())
    with subprocess.Popen(
        [program, *safe, *argv],
        cwd=folder,
        env=_environment(reference.url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                what = f"no answer within {seconds:.0f} s"
                raise UnavailableError(
                    "the repository can't be reached", [Problem(reference.url, what, _OFFLINE)]
                ) from None
            raise
    if process.returncode == 0:
        return out
    raise _explained(err, reference)


_OFFLINE = "offline, you can name a commit that was fetched before: URL@COMMIT"
_UNASKED = (
    "runs are detached and can't ask: let git's credential helper or an SSH agent supply it, or "
    "give the path of a clone"
)
_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        (
            r"terminal prompts disabled|Authentication failed|Permission denied \(|could not read "
            r"(Username|Password)|HTTP 40[13]|error: 40[13]"
        ),
        "asks for a password or key",
        _UNASKED,
    ),
    (r"Host key verification failed", "its host key is not known here", "connect to the host with ssh once"),
    (
        r"dubious ownership",
        "belongs to another user, and git refuses it",
        "git config --global --add safe.directory PATH",
    ),
    (
        r"not allowed|transport '",
        "its transport, or that of a submodule, is not allowed",
        "https, ssh, git; file only from file",
    ),
)
_MISSING = (
    r"not found|not exported|does not exist|does not appear to be a git repository"
    r"|couldn't find remote ref|not our ref|Needed a single revision"
)


def _explained(told: str, reference: Reference) -> Exception:
    """The first line of git's message that says why."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    # of which git only says that it could not read
    ssh = next((line for line in lines if line.startswith("ssh:")), "")
    said = ssh or next(
        (line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))),
        lines[0] if lines else "git printed nothing",
    )
    said = "".join(c if c.isprintable() else " " for c in said)[:300]
    for pattern, what, hint in _REASONS:
        if re.search(pattern, told):
            return UnavailableError(f"the repository {what}", [Problem(reference.url, said, hint)])
    if re.search(_MISSING, told) or not lines:
        return NotFoundError(
            "there is no such repository or ref",
            [Problem(str(reference), said, "is it spelled correctly? A private repository looks the same")],
        )
    return UnavailableError("the repository can't be fetched", [Problem(reference.url, said, _OFFLINE)])
