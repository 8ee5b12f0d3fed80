"""What a JSON Schema refers to: parts of itself and files of its folder; nothing is fetched, nothing else is read."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.workflows import write_workflow

from esap_wf.errors import UsageError
from esap_wf.formats import schemas
from esap_wf.request.rows import check_table
from esap_wf.running.collect import collect

EMPTY = {"type": "object", "additionalProperties": False}


class Server:
    """Counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/x.json"
        self.asked = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return
            self.asked += 1


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.socket.close()


def elsewhere(server: Server, tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "secret.json"
    secret.write_text('{"const": "secret"}')
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "flow").mkdir(exist_ok=True)
    (tmp_path / "flow" / "link.json").symlink_to(secret)
    os.mkfifo(tmp_path / "flow" / "pipe.json")
    return {
        "http": server.url,
        "https": server.url.replace("http", "https"),
        "file": secret.as_uri(),
        "pipe": (tmp_path / "pipe.json").as_uri(),
        "above": "../secret.json",
        "link": "link.json",
        "pipe beside": "pipe.json",
        "none": "none.json",
        "device": "file:///dev/zero",
        "host": "file://localhost/etc/passwd",
        "urn": "urn:x:y",
        "bent": "./a/../../secret.json",
        "escaped": "%2e%2e/secret.json",
    }


def referring(to: str) -> dict[str, dict[str, Any]]:
    return {
        "at the top": {"$ref": to},
        "in a property": {"properties": {"a": {"$ref": to}}},
        "by a part": {"properties": {"a": {"$ref": f"{to}#/x"}}},
        "by an id": {"$id": to, "properties": {"a": {"$ref": "other.json"}}},
        "dynamic": {"$dynamicRef": to},
    }


def test_no_reference_leads_out_of_the_folder(server, tmp_path):
    there = elsewhere(server, tmp_path)
    for kind, to in there.items():
        for how, schema in referring(to).items():
            if how == "by an id" and kind in {"link", "pipe beside", "none", "above", "bent", "escaped"}:
                continue
            for file in (tmp_path / "flow" / "s.json", None):
                with pytest.raises(UsageError) as reported:
                    schemas.validator(schema, file)
                assert "secret" not in str(reported.value).replace("secret.json", ""), (kind, how)
    schemas.validator(
        {"$schema": server.url, "$id": server.url, "type": "string"}, tmp_path / "flow" / "s.json"
    )
    assert server.asked == 0


def test_references_to_itself_and_to_files_beside_it_are_followed(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.json").write_text('{"$defs": {"n": {"type": "integer"}}, "$ref": "../b.yaml"}')
    (tmp_path / "b.yaml").write_text("maximum: 5")
    check = schemas.validator({"$ref": "parts/a.json", "$defs": {"n": {}}}, tmp_path / "s.json")
    assert check.is_valid(5) and not check.is_valid(6)
    assert not schemas.validator({"$ref": "parts/a.json#/$defs/n"}, tmp_path / "s.json").is_valid("x")
    check = schemas.validator({"$ref": "../b.yaml"}, tmp_path / "parts" / "s.json", tmp_path)
    assert not check.is_valid(6)
    with pytest.raises(UsageError, match="leads out of the folder"):
        schemas.validator({"$ref": "../b.yaml"}, tmp_path / "parts" / "s.json")
    assert schemas.validator({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}}).is_valid(1)


def test_every_schema_of_a_workflow_is_held_to_it(inside, tmp_path, server):
    """The parameters', the rows', a sheet's: by `lint`, `validate` and `plan`."""
    reference = {"$ref": server.url}
    properties = {"a": {"type": "integer", "title": "A", "default": 1}}
    folder = write_workflow(
        tmp_path / "toy", properties, {"inputs": {"t": {"title": "T", "rows": "rows.json"}}}
    )
    parameters, table = folder / "params.schema.json", tmp_path / "t.csv"
    table.write_text("k\n1\n")
    whole = parameters.read_text()
    for rows in (
        {"type": "object", "properties": {"k": reference}},
        {"type": "array", "items": {"properties": {"k": reference}}},
    ):
        (folder / "rows.json").write_text(json.dumps(rows))
        for verb in ("validate", "plan", "lint"):
            done = inside(verb, folder, *(["--input", f"t={table}"] if verb != "lint" else []))
            assert done.code == 2 and "nothing is fetched" in done.err + done.out, (verb, done)
    (folder / "rows.json").write_text('{"type": "object"}')
    parameters.write_text(
        json.dumps({**json.loads(whole), "properties": {"a": {"title": "A", "default": 1, **reference}}})
    )
    for verb in ("validate", "plan", "lint"):
        done = inside(verb, folder, *(["--input", f"t={table}"] if verb != "lint" else []))
        assert done.code == 2, (verb, done)
    assert server.asked == 0


def test_the_schema_of_an_output_is_held_to_it(toy, tmp_path, server):
    manifest = toy(
        manifest={"outputs": [{"name": "o", "path": "outputs/o.json", "schema": "s.json"}]},
        files={"s.json": "{}"},
    ).manifest
    run, snapshot = tmp_path / "run", tmp_path / "snapshot"
    (run / "outputs").mkdir(parents=True)
    snapshot.mkdir()
    (run / "outputs" / "o.json").write_text("1")
    (snapshot / "s.json").write_text(json.dumps({"$ref": server.url}))
    failures = collect(manifest, run, snapshot).failures
    assert "nothing is fetched" in failures[0].detail
    assert server.asked == 0


def test_rows_that_are_deep_or_many_are_reported(tmp_path):
    (tmp_path / "t.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(UsageError, match=r"t\.jsonl"):
        check_table(tmp_path / "t.jsonl", {"type": "object"})
