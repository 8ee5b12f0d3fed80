"""From a reference of a plan to where its file is read, what is known of it, and the cache that gets it."""

from __future__ import annotations

import contextlib
import getpass
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from esap_wf import credentials
from esap_wf.config import Config
from esap_wf.datalakes import BATCH, Lake, lake
from esap_wf.errors import NotFoundError, Problem, UsageError
from esap_wf.models.data import Did, Replica, lake_and_did
from esap_wf.models.request import LAKE, RUN, WEB, DataRef
from esap_wf.models.run import OutputFile
from esap_wf.runs.store import Run, Store
from esap_wf.transfers import learned
from esap_wf.transfers.cache import Cache
from esap_wf.transfers.fetching import Wanted
from esap_wf.transfers.sources import LakeSource, Questions, RunSource, Source, WebSource

#: A lake's catalogue is asked over a connection, which belongs to a thread.
_own = threading.local()


def questions(uris: Iterable[str]) -> dict[str, Questions]:
    """By lake, what is asked about files that are brought together."""
    return {name: Questions(found) for name, found in by_lake(uris).items()}


def by_lake(uris: Iterable[str]) -> dict[str, list[Did]]:
    """The data in lakes among some addresses."""
    found: dict[str, list[Did]] = {}
    for uri in uris:
        if uri.startswith(LAKE):
            with contextlib.suppress(ValueError):
                name, did = lake_and_did(uri)
                found.setdefault(name, []).append(did)
    return found


def copies(config: Config, name: str, dids: Sequence[Did]) -> Iterator[tuple[str, list[Replica]]]:
    """
    Where copies of files in a lake are, by their address.

    Raises
    ------
    LakeOutageError
        It can't be asked.
    """
    asked = lake(config, name)
    for start in range(0, len(dids), BATCH):
        for did, found in asked.replicas(dids[start : start + BATCH]).items():
            yield did.uri(name), found


def source_of(config: Config, uri: str, together: Mapping[str, Questions] | None = None) -> Source:
    """
    Where a file is read.

    Parameters
    ----------
    config : Config
    uri : str
    together : mapping, optional
        Of `questions`, if it is brought with others.

    Raises
    ------
    UsageError
        Nothing is known of such an address.
    NotFoundError
        The run is not there any more.
    """
    if uri.startswith(LAKE):
        try:
            name, did = lake_and_did(uri)
        except ValueError as error:
            raise UsageError("an input can't be brought", [Problem(uri, str(error))]) from None
        return LakeSource(_lake(config, name), did, (together or {}).get(name))
    if uri.startswith(RUN):
        return RunSource(result_of(config, uri))
    if uri.startswith(WEB):
        return web_source(config, uri)
    raise UsageError("an input can't be brought", [Problem(uri, "nobody knows how it is read")])


def web_source(config: Config, url: str) -> WebSource:
    """An address, with what the configuration says of its server."""
    name = credential_of(config, url)
    token = partial(_value, config, name) if name else None
    return WebSource(url.partition("#")[0], tuple(config.web.get("hosts", ())), token)


def credential_of(config: Config, url: str) -> str:
    """Name of the credential that the configuration has for a server; empty if it has none."""
    parts, named = urlsplit(url), config.web.get("credentials", {})
    return str(named.get(parts.netloc) or named.get(parts.hostname or "") or "")


def _value(config: Config, name: str) -> str:
    return credentials.find(config, name).value


def _lake(config: Config, name: str) -> Lake:
    known: dict[tuple[str, str], Lake] = _own.__dict__.setdefault("lakes", {})
    key = (str(config.source), name)
    if key not in known:
        known[key] = lake(config, name)
    return known[key]


def result_of(config: Config, uri: str) -> Path:
    """
    A file or folder that a run has made, by ``run:ID/output/path``.

    Raises
    ------
    NotFoundError
        The run, or the file, is not there any more.
    """
    run, inner = _result(config, uri)
    path = run.dir / inner
    if ".." in path.parts or not path.exists():
        raise is_gone(uri)
    return path


def is_gone(uri: str) -> NotFoundError:
    """That a run, or its result, is not there any more."""
    run_id, _, rest = uri.removeprefix(RUN).partition("/")
    what = f"run {run_id} has no {rest.partition('/')[2]} any more"
    return NotFoundError(what, [Problem(uri, "it was removed, or its results were", "run it again")])


def _result(config: Config, uri: str) -> tuple[Run, str]:
    run_id, _, rest = uri.removeprefix(RUN).partition("/")
    return Store.open(config.store).run(run_id), unquote(rest.partition("/")[2])


def parts_of(config: Config, uri: str) -> list[tuple[str, OutputFile]]:
    """
    A file that a run has made, or all that is in such a folder, as it was accepted: by the path in it, which
    is empty for the file itself.

    Raises
    ------
    NotFoundError
    """
    run, inner = _result(config, uri)
    made = run.outputs()
    found = []
    for one in made.outputs if made else ():
        if one.path == inner:
            return [("", one)]
        if one.path.startswith(f"{inner}/") and one.path != f"{inner}/":
            found.append((one.path.removeprefix(f"{inner}/"), one))
    if made is None:
        raise is_gone(uri)
    return found


def wanted(ref: DataRef) -> Wanted:
    """What a plan knows of a file."""
    return Wanted(ref.uri, ref.bytes, ref.checksums, ref.modified)


def known(config: Config, ref: DataRef, shelf: learned.Shelf | None = None) -> str | None:
    """The SHA-256 of a file, by its plan or as somebody has found out; who asks of many files has a shelf."""
    kind, _, digits = (ref.checksum or "").partition(":")
    if kind == "sha256":
        return digits
    return shelf.known(wanted(ref)) if shelf else learned.known(config.store, wanted(ref))


def cache_of(config: Config) -> Cache:
    """
    The user's own cache in the store, which is on the file system of the runs. In a store of several people
    nobody else can read it.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", getpass.getuser()) or "user"
    folder = config.store / "cache" / name
    is_shared = (config.store / "store.json").exists() and Store.open(config.store).shared
    return Cache(folder, 0o400 if is_shared else 0o444)
