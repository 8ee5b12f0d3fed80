"""What others wrote reaches a terminal as text, whatever it holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

from helpers.workflows import write_workflow
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.formats.printing import in_json, log_text, one_line, printable

BAD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r\x08[red]"


@given(st.text())
def test_nothing_that_a_terminal_acts_upon_is_left(text: str) -> None:
    assert (
        not BAD.search(printable(text))
        and not BAD.search(log_text(text))
        and not BAD.search(one_line(text) + "\n")
    )
    assert "\n" not in one_line(text)
    assert json.loads(in_json(json.dumps(text, ensure_ascii=False))) == text
    assert not BAD.search(in_json(json.dumps(text, ensure_ascii=False)))
    printable(text).encode()


def test_what_people_write_is_left_as_it_is() -> None:
    for text in ("a\tb\nc", "10\u00a0TeV", "γ → μ", "日本\u3000語"):
        assert printable(text) == text
    assert log_text("\x1b[32mdone\x1b[0m\r\n 10%\r100%") == "done\n 10%\n100%"


def test_a_foreign_manifest_writes_nothing_but_text(inside, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("click._compat.should_strip_ansi", lambda *_: False)  # as on a terminal
    properties = {
        "a": {
            "type": "integer",
            "title": HOSTILE,
            "default": 1,
            "group": HOSTILE,
            "description": HOSTILE,
            "enum": [1, HOSTILE],
        },
        "n": {"type": "number", "title": HOSTILE, "maximum": 1},
    }
    manifest = {
        "title": HOSTILE,
        "description": HOSTILE,
        "authors": [{"name": HOSTILE}],
        "citation": [HOSTILE],
        "inputs": {"t": {"title": HOSTILE, "required": False}},
        "rules": [{"that": "a < 0", "message": HOSTILE}],
        "outputs": [{"name": "o", "path": "o.txt", "title": HOSTILE}],
    }
    folder = write_workflow(tmp_path / "toy", properties, manifest)
    broken = write_workflow(
        tmp_path / "broken",
        {},
        {HOSTILE: 1, "name": HOSTILE, "resources": {"sizes": {HOSTILE: {"cores": 1}}}},
    )
    assert inside("show", folder).code == 0
    seen = 0
    for workflow in (folder, broken):
        for args in (
            ("show",),
            ("validate",),
            ("validate", "--n", "5", "--a", HOSTILE),
            ("plan",),
            ("lint",),
            ("run", "--help"),
        ):
            for more in ((), ("--json",)):
                done = inside(args[0], workflow, *args[1:], *more)
                assert done.code in (0, 2), done
                assert not BAD.search(done.out + done.err), (args, more)
                seen += "gnp.exe" in done.out + done.err
    assert seen >= 12
