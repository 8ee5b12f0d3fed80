"""Records of the OSSR beside a workflow: authors, licence, citation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.files import write_files
from helpers.workflows import write_workflow
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.catalogue import records

CODEMETA = {
    "@context": "https://doi.org/10.5063/schema/codemeta-2.0",
    "@type": "SoftwareSourceCode",
    "name": "Counter",
    "description": "Counts.",
    "version": "v1.2.0",
    "license": "https://spdx.org/licenses/MIT",
    "author": [
        {
            "@type": "Person",
            "@id": "https://orcid.org/0000-0002-1825-0097",
            "givenName": "Josiah",
            "familyName": "Carberry",
            "affiliation": {"@type": "Organization", "name": "Brown University"},
        },
        {"@type": "Organization", "name": "A group"},
    ],
    "identifier": "https://doi.org/10.5281/zenodo.1234567",
    "keywords": "counting, testing",
}
#: As Zenodo's interface gives a record, and `eossr` keeps it.
SAVED = {
    "id": 7654321,
    "doi": "10.5281/zenodo.7654321",
    "metadata": {
        "title": "Counter v2",
        "creators": [{"name": "Carberry, Josiah", "orcid": "0000-0002-1825-0097"}],
        "license": {"id": "mit-license"},
        "description": "<p>Counts <b>more</b>.</p>",
        "keywords": ["ossr"],
        "version": "2.0.0",
    },
}


def test_codemeta_tells_authors_licence_and_citation(tmp_path: Path) -> None:
    write_files(tmp_path, {"codemeta.json": json.dumps(CODEMETA)})
    record = records.read_record(tmp_path)
    first, second = record.authors
    assert (first.name, first.orcid, first.affiliation) == (
        "Josiah Carberry",
        "0000-0002-1825-0097",
        "Brown University",
    )
    assert second.name == "A group" and second.orcid is None
    assert (record.license, record.version, record.citation) == ("MIT", "1.2.0", ("10.5281/zenodo.1234567",))
    assert record.keywords == ("counting", "testing")


def test_a_saved_record_needs_no_network_and_its_doi_comes_first(tmp_path: Path) -> None:
    write_files(tmp_path, {"ossr.json": json.dumps(SAVED)})
    record = records.read_record(tmp_path)
    assert (
        record.authors[0].name == "Carberry, Josiah"
        and record.description == "Counts more."
        and record.license == "mit-license"
    )
    write_files(tmp_path, {"codemeta.json": json.dumps(CODEMETA)})
    both = records.read_record(tmp_path)
    assert both.citation == ("10.5281/zenodo.7654321", "10.5281/zenodo.1234567") and both.license == "MIT"
    assert both.files == ("codemeta.json", "ossr.json")


def test_show_and_the_catalogue_tell_them_and_a_manifest_wins(
    place: Place, inside: Any, tmp_path: Path
) -> None:
    collection = tmp_path / "collection"
    write_files(collection, {"codemeta.json": json.dumps(CODEMETA)})
    write_workflow(collection / "workflows/plain")
    write_workflow(
        collection / "workflows/own", manifest={"license": "BSD-3-Clause", "authors": [{"name": "Me"}]}
    )
    (place.root / "config.toml").write_text(f'workflows = ["{collection / "workflows"}"]\n')
    shown = inside("show", "plain", "--json").json
    assert shown["license"] == "MIT" and shown["authors"][0]["orcid"] == "0000-0002-1825-0097"
    assert "10.5281/zenodo.1234567" in inside("show", "plain").out
    rows = {r["name"]: r for r in inside("workflows", "--json").json["workflows"]}
    assert rows["plain"]["license"] == "MIT" and rows["plain"]["citation"] == ["10.5281/zenodo.1234567"]
    assert rows["own"]["license"] == "BSD-3-Clause" and rows["own"]["authors"] == ["Me"]


def test_a_pipeline_without_a_manifest_has_its_title_and_version_from_it(
    inside: Any, place: Place, tmp_path: Path
) -> None:
    write_files(
        tmp_path / "p",
        {"Snakefile": 'rule all:\n    input: "x.txt"\n', "codemeta.json": json.dumps(CODEMETA)},
    )
    shown = inside("show", tmp_path / "p", "--json").json
    assert (shown["title"], shown["version"], shown["license"]) == ("Counter", "1.2.0", "MIT")


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', "\xff", '{"author": 3, "license": {"a": 1}, "identifier": [[]]}']
)
def test_a_broken_record_is_a_note_and_no_error(inside: Any, place: Place, tmp_path: Path, text: str) -> None:
    folder = write_workflow(tmp_path / "toy")
    (folder / "codemeta.json").write_bytes(text.encode("latin-1"))
    assert inside("show", folder, "--json").code == 0
    record = records.read_record(folder)
    assert bool(record.problems) == ("author" not in text)


KEYS = [
    "name",
    "@id",
    "author",
    "license",
    "identifier",
    "givenName",
    "affiliation",
    "keywords",
    "metadata",
    "doi",
    "creators",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(st.sampled_from(KEYS), s, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "author", "license", "identifier", "keywords", "metadata", "doi", "version"]
        ),
        JSON,
        max_size=6,
    )
)
def test_any_json_is_a_record_or_a_note(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("r")
    write_files(folder, {"codemeta.json": json.dumps(data), "ossr.json": json.dumps(data)})
    record = records.read_record(folder)
    assert all(isinstance(a.name, str) and a.name for a in record.authors)
