"""Records of the open-source software repository (OSSR): who wrote a workflow, under which licence, how it is
cited.

Read are ``codemeta.json`` (CodeMeta 2 and 3, what the OSSR asks for) and ``ossr.json``, a saved record of the
repository (Zenodo's JSON, as `eossr` gives it): no network is needed. What a manifest says itself wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.errors import EsapError
from esap_wf.formats import reading
from esap_wf.models.manifest import Author, Manifest

CODEMETA, SAVED = "codemeta.json", "ossr.json"
_MAX_BYTES = 4_000_000
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")


@dataclass(frozen=True)
class Record:
    """What the files beside a workflow say; `files` are their names, `problems` why one could not be read."""

    title: str = ""
    description: str = ""
    version: str = ""
    license: str | None = None
    authors: tuple[Author, ...] = ()
    citation: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())


def read_record(folder: Path) -> Record:
    """
    The record of a workflow's folder; of a collection ``workflows/NAME`` that of the repository, if the
    folder has none.
    """
    folders = [folder, *([folder.parent.parent] if folder.parent.name == "workflows" else [])]
    home = next((p for p in folders if (p / CODEMETA).is_file() or (p / SAVED).is_file()), None)
    record = Record()
    for name, understand in ((CODEMETA, _codemeta), (SAVED, _saved)) if home else ():
        file = home / name if home else folder
        if file.is_file():
            try:
                record = _merged(record, understand(_load(file)), name)
            except (EsapError, OSError, ValueError, RecursionError, TypeError, AttributeError) as error:
                record = _merged(record, Record(problems=(f"{file} can't be read: {error}",)), "")
    return record


def completed(manifest: Manifest, record: Record, derived: bool) -> Manifest:
    """A manifest with what it leaves out; of a pipeline without one, title and version too."""
    changes: dict[str, Any] = {
        "description": manifest.description or record.description[:20_000],
        "license": manifest.license or record.license,
        "authors": manifest.authors or list(record.authors),
        "citation": manifest.citation or list(record.citation),
        "keywords": manifest.keywords or list(record.keywords),
    }
    if derived and record.title:
        changes["title"] = record.title[:500]
    if derived and re.fullmatch(r"\d+\.\d+\.\d+([.+-].+)?", record.version):
        changes["version"] = record.version
    return msgspec.structs.replace(manifest, **changes)


def _load(file: Path) -> dict[str, Any]:
    data = reading.json_value(reading.read_text(file, limit=_MAX_BYTES))
    if not isinstance(data, dict):
        raise ValueError("is not a JSON object")
    return data


def _codemeta(data: dict[str, Any]) -> Record:
    cited = [
        t
        for key in ("identifier", "referencePublication", "citation")
        for t in map(_cited, _list(data.get(key)))
        if t
    ]
    return Record(
        title=_text(data.get("name")),
        description=_text(data.get("description")),
        version=_text(data.get("version") or data.get("softwareVersion")).removeprefix("v"),
        license=_license(data.get("license")),
        authors=tuple(_authors(data.get("author") or data.get("creator"))),
        citation=tuple(dict.fromkeys(cited)),
        keywords=tuple(_keywords(data.get("keywords"))),
    )


def _saved(data: dict[str, Any]) -> Record:
    """A Zenodo record: its DOI is what is cited."""
    entry = data.get("metadata") if isinstance(data.get("metadata"), dict) else data
    assert isinstance(entry, dict)
    doi = _cited(data.get("doi") or entry.get("doi"))
    return Record(
        title=_text(entry.get("title")),
        description=re.sub(r"<[^>]*>", "", _text(entry.get("description"))).strip(),
        version=_text(entry.get("version")).removeprefix("v"),
        license=_license(entry.get("license")),
        authors=tuple(_authors(entry.get("creators"))),
        citation=(doi,) if doi else (),
        keywords=tuple(_keywords(entry.get("keywords"))),
    )


def _merged(first: Record, second: Record, name: str) -> Record:
    """The first says what it knows; the citations of the second, a published record, come before its own."""
    chosen = {
        f: getattr(first, f) or getattr(second, f)
        for f in ("title", "description", "version", "license", "authors", "keywords")
    }
    return Record(
        **chosen,
        citation=tuple(dict.fromkeys([*second.citation, *first.citation])),
        files=(*first.files, *([name] if name else [])),
        problems=(*first.problems, *second.problems),
    )


def _text(value: Any) -> str:
    value = value[0] if isinstance(value, list) and value else value
    text = (
        value
        if isinstance(value, str)
        else str(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else ""
    )
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _authors(value: Any) -> Iterator[Author]:
    for entry in _list(value):
        if not isinstance(entry, dict):
            if _text(entry):
                yield Author(name=_text(entry))
            continue
        name = _text(entry.get("name")) or " ".join(
            filter(None, (_text(entry.get("givenName")), _text(entry.get("familyName"))))
        )
        identifiers = (entry.get(key, "") for key in ("@id", "id", "orcid", "identifier"))
        orcid = _ORCID.search(" ".join(map(str, identifiers)))
        home = entry.get("affiliation")
        home = home[0] if isinstance(home, list) and home else home
        if name:
            yield Author(
                name=name,
                orcid=orcid[0] if orcid else None,
                affiliation=_text(home.get("name") if isinstance(home, dict) else home) or None,
            )


def _license(value: Any) -> str | None:
    """SPDX identifier, or what stands there."""
    value = value[0] if isinstance(value, list) and value else value
    text = _text(
        value.get("id") or value.get("identifier") or value.get("@id") or value.get("url")
        if isinstance(value, dict)
        else value
    )
    return (
        re.sub(r"^https?://(www\.)?spdx\.org/licenses/", "", text).removesuffix(".html").removesuffix(".json")
        or None
    )


def _cited(value: Any) -> str:
    """A DOI, else a URL or a text."""
    if isinstance(value, dict):
        value = (
            value.get("@id")
            or value.get("id")
            or value.get("value")
            or value.get("identifier")
            or value.get("url")
            or value.get("name")
        )
    text = _text(value)
    doi = _DOI.search(text)
    return doi[0].rstrip(".,;") if doi else text


def _keywords(value: Any) -> Iterator[str]:
    for entry in value.split(",") if isinstance(value, str) else _list(value):
        if _text(entry):
            yield _text(entry)
