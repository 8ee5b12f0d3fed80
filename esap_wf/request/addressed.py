"""Files at addresses: what a server says of one, or which files a DataLink document there stands for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from esap_wf.config import Config
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats.quantities import human_count
from esap_wf.models.request import DataRef
from esap_wf.request.references import Wrong

if TYPE_CHECKING:
    from esap_wf.transfers.datalink import Link
    from esap_wf.transfers.web import WebEntry

_T = TypeVar("_T")


def refs(config: Config, text: str, wrong: Wrong) -> tuple[list[DataRef], list[str]]:
    """
    The file at an address, or the files of the DataLink document there.

    Parameters
    ----------
    config : Config
    text : str
        ``https://…``, with ``#sha256=…`` if its content is known.
    wrong : callable
        Makes the error.

    Returns
    -------
    refs : list of DataRef
        By its content where the address says it, else by what the server says now.
    warnings : list of str

    Raises
    ------
    UsageError
        There is no such file.
    LakeOutageError
        Nobody can be asked.
    """
    from esap_wf.transfers import datalink, references

    url, _, fragment = text.partition("#")
    said = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if fragment and not said:
        raise wrong("behind # an address may say its checksum only", "#sha256=… with 64 digits")
    sha256 = said[1].lower() if said else ""
    found = _told(lambda: _described(config, url), wrong)
    if not datalink.is_one(found.media):
        return [_ref(config, url, sha256, found, wrong)], []
    document = _told(lambda: datalink.links(references.web_source(config, url)), wrong)
    if sha256 and len(document.files) > 1:
        many = human_count(len(document.files), "file")
        raise wrong(f"it stands for {many}, and one checksum is given")
    files = [_linked(config, link, sha256, wrong) for link in document.files]
    return files, [f"{url.partition('?')[0]}: the server has no {fault}" for fault in document.faults]


def _linked(config: Config, link: Link, sha256: str, wrong: Wrong) -> DataRef:
    """A file that a document names."""
    from esap_wf.transfers import datalink

    def wrong_there(what: str, hint: str = "") -> UsageError:
        return wrong(f"it stands for {link.address}: {what}", hint)

    found = _told(lambda: _described(config, link.address.url), wrong_there)
    if datalink.is_one(found.media):
        raise wrong_there("that is a DataLink document again", "give the address of a file itself")
    return _ref(config, link.address.url, sha256, found, wrong_there, link.bytes)


def _described(config: Config, url: str) -> WebEntry:
    from esap_wf.transfers import references, web

    source = references.web_source(config, url)
    return web.describe(url, hosts=source.hosts, token=source.token)


def _told(ask: Callable[[], _T], wrong: Wrong) -> _T:
    """An answer; a refusal as the error of this input."""
    from esap_wf.datalakes import LakeOutageError

    try:
        return ask()
    except LakeOutageError:
        raise
    except EsapError as error:
        first = error.problems[0] if error.problems else Problem("", error.message)
        raise wrong(": ".join(dict.fromkeys([error.message, first.what])), first.hint) from None


def _ref(
    config: Config, url: str, sha256: str, found: WebEntry, wrong: Wrong, promised: int | None = None
) -> DataRef:
    from esap_wf.transfers import learned
    from esap_wf.transfers.fetching import Wanted

    if not found.name:
        raise wrong("the address names no file", "it must end with a name")
    # who has the file knows its length better than who names it
    size = promised if found.bytes is None else found.bytes
    checksums = {"sha256": sha256} if sha256 else {}
    uri = f"{url}#sha256={sha256}" if sha256 else url
    version = found.modified or found.etag
    if not sha256:
        sha256 = learned.known(config.store, Wanted(uri, size, {}, version)) or ""
    weak = f"address:{url}:{size}:{version}"
    return DataRef(
        uri=uri,
        bytes=size,
        checksum=f"sha256:{sha256}" if sha256 else weak,
        strength="checksum" if sha256 else "catalogue",
        before=weak if sha256 and not checksums else "",
        checksums=checksums,
        modified=version,
    )
