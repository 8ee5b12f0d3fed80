"""``stage.json``: inputs of a run that lie elsewhere, and where they are read without esap-wf."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from esap_wf.config import Config
from esap_wf.errors import EsapError
from esap_wf.models import Model
from esap_wf.models.data import Replica
from esap_wf.models.plan import Plan
from esap_wf.models.request import RUN, WEB, DataRef
from esap_wf.models.run import Outputs, encode
from esap_wf.running import staging
from esap_wf.runs.store import Store
from esap_wf.transfers import references

#: Before the name of a credential: the variable in which a user gives it to ``stage.py``.
VARIABLE = "ESAP_WF_TOKEN_"
#: Schemes of copies that can be read without esap-wf.
_READABLE = ("file:///", *WEB)


class Entry(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    A file, or a folder with its files.

    Parameters
    ----------
    path : str
        Relative to the run directory; of what a folder has, to the folder.
    uri : str
        As the plan names it.
    urls : list of str
        Where it is read; those that are tried first come first.
    bytes : int, optional
    checksums : dict
        ``sha256``, ``md5``, ``adler32`` → hexadecimal digits.
    modified : float, optional
        The time that it gets, in seconds since 1970; None: that of the copy.
    version : str
        What a server must say of it (``Last-Modified`` as RFC 3339, else ``ETag``); empty: it doesn't matter.
    tokens : dict
        Address → the variable that has the token for it.
    folder : bool
    known : bool
        Whether it is known what a folder has.
    files : list of Entry
        What a folder has.
    """

    path: str
    uri: str
    urls: list[str] = []
    bytes: int | None = None
    checksums: dict[str, str] = {}
    modified: float | None = None
    version: str = ""
    tokens: dict[str, str] = {}
    folder: bool = False
    known: bool = True
    files: list[Entry] = []


class Listing(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``stage.json``."""

    schema_version: int = 1
    files: list[Entry]


def put(plan: Plan, target: Path, places: Config) -> None:
    """
    Write ``stage.py`` and ``stage.json`` into a folder. Lakes are asked where copies are; what nobody can say
    now has no address.

    Parameters
    ----------
    plan : Plan
    target : Path
    places : Config
        Of lakes, and of the store whose runs are meant.
    """
    program = target / staging.PROGRAM
    program.write_bytes(Path(__file__).with_name(staging.PROGRAM).read_bytes())
    program.chmod(0o755)
    (target / staging.LISTING).write_bytes(encode(of(plan, places)))


def of(plan: Plan, places: Config) -> Listing:
    """Everything that is brought for a plan."""
    refs = staging.brought_by_hand(plan)
    copies = _copies(places, (ref.uri for ref in refs))
    outputs: dict[str, Outputs | None] = {}
    return Listing(files=[_entry(ref, places, copies, outputs) for ref in refs])


def _entry(
    ref: DataRef, places: Config, copies: dict[str, list[str]], outputs: dict[str, Outputs | None]
) -> Entry:
    assert ref.path
    if ref.uri.startswith(RUN):
        return _of_run(ref, places, outputs)
    web = ref.uri.startswith(WEB)
    urls = [ref.uri.partition("#")[0]] if web else copies.get(ref.uri, [])
    sums = dict(ref.checksums)
    kind, _, digits = (ref.checksum or "").partition(":")
    if kind == "sha256":
        sums["sha256"] = digits
    modified = None
    with contextlib.suppress(ValueError):
        modified = datetime.fromisoformat(ref.modified).timestamp() if ref.modified else None
    return Entry(
        path=ref.path,
        uri=ref.uri,
        urls=urls,
        bytes=ref.bytes,
        checksums=sums,
        modified=modified,
        version=ref.modified if web and "sha256" not in ref.checksums else "",
        tokens={url: name for url in urls if (name := _variable(places, url))},
    )


def _variable(places: Config, url: str) -> str:
    """Of the credential that the configuration names for a server; empty if none is sent there."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http"):
        return ""
    name = references.credential_of(places, url)
    hosts = places.web.get("hosts", ())
    if not name or (parts.scheme == "http" and not {parts.netloc, parts.hostname} & set(hosts)):
        return ""
    return VARIABLE + re.sub(r"[^A-Z0-9]", "_", name.upper())


def _copies(places: Config, uris: Iterable[str]) -> dict[str, list[str]]:
    """Addresses of files in lakes, as far as there are copies that can be read at once."""
    found: dict[str, list[str]] = {}
    for name, dids in references.by_lake(uris).items():
        with contextlib.suppress(EsapError):
            found |= {uri: _addresses(copies) for uri, copies in references.copies(places, name, dids)}
    return found


def _addresses(copies: Iterable[Replica]) -> list[str]:
    return [copy.url for copy in copies if copy.ready and copy.url.startswith(_READABLE)]


def _of_run(ref: DataRef, places: Config, outputs: dict[str, Outputs | None]) -> Entry:
    """A result of another run, where that run has it."""
    assert ref.path
    run_id, _, rest = ref.uri.removeprefix(RUN).partition("/")
    name, _, inner = (unquote(part) for part in rest.partition("/"))
    made, folder = None, Path()
    with contextlib.suppress(EsapError):
        run = Store.open(places.store).run(run_id)
        folder = run.dir
        if run_id not in outputs:
            outputs[run_id] = run.outputs()
        made = outputs[run_id]
    if not ref.folder:
        urls = [(folder / inner).as_uri()] if made else []
        return Entry(path=ref.path, uri=ref.uri, urls=urls, bytes=ref.bytes, checksums=dict(ref.checksums))
    members = [
        Entry(
            path=PurePosixPath(one.path).relative_to(inner).as_posix(),
            uri=ref.uri,
            urls=[] if one.is_folder else [(folder / one.path).as_uri()],
            bytes=None if one.is_folder else one.bytes,
            checksums={} if one.is_folder else {"sha256": one.sha256},
            folder=one.is_folder,
        )
        for one in (made.outputs if made else [])
        if one.name == name and one.path.startswith(f"{inner}/") and one.path != f"{inner}/"
    ]
    return Entry(path=ref.path, uri=ref.uri, folder=True, known=made is not None, files=members)
