"""Parts of one file and of one repository are different runs, with every engine that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.files import write_files
from helpers.repositories import commit
from services import engines

pytestmark = pytest.mark.integration

FILES = {
    "main.nf": """\
process A { output: path 'a.txt'
 script: 'echo a > a.txt' }
workflow { A() }
workflow other { A() }
""",
    "g.cwl": """\
cwlVersion: v1.2
$graph:
- {class: CommandLineTool, id: main, baseCommand: [echo, a], inputs: [], outputs: {o: {type: stdout}}, stdout: o.txt}
- {class: CommandLineTool, id: other, baseCommand: [echo, b], inputs: [], outputs: {o: {type: stdout}}, stdout: o.txt}
""",
    "a.smk": 'rule all:\n    input: "o.txt"\nrule other:\n    output: "o.txt"\n    shell: "echo > {output}"\n',
}


@pytest.mark.parametrize("where", ["folder", "repository"])
def test_a_part_is_a_run_of_its_own(where: str, place: Place, inside: Callable[..., Any]) -> None:
    (place.root / "config.toml").write_text(engines.configuration("nextflow", "cwl"))
    folder: Path = write_files(place.root / "p", FILES)
    reference = str(folder)
    if where == "repository":
        commit(folder)
        reference = folder.as_uri()
    texts = [
        f"{reference}{'/' if where == 'folder' else '#'}{name}{part}"
        for name in FILES
        for part in ("", "#other")
    ]
    digests = {text: inside("plan", text, "--json").json["digest"] for text in texts}
    assert len(set(digests.values())) == len(texts), digests
