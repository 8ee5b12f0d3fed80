"""What a CWL document needs, told before anything runs: with the file and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.engines.cwl import check
from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.cwl.events import Steps
from esap_wf.engines.cwl.toil import Toil
from esap_wf.models.plan import EngineChoice

CHOICE = EngineChoice(name="cwl", path="/bin/cwltool", version="3.3", found="test")
TOOL = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\ninputs: {}\noutputs: {}\n"


def objections(folder: Path, engine: object = None, item: str | None = None, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.cwl").write_text(text)
    return [str(p) for p in (engine or Cwltool()).objections(CHOICE, folder / "main.cwl", item)]  # type: ignore[attr-defined]


def step(run: str) -> str:
    return f"cwlVersion: v1.2\nclass: Workflow\ninputs: {{}}\noutputs: {{}}\nsteps:\n  one:\n    run: {run}\n    in: {{}}\n    out: []\n"


def test_a_good_document_has_no_objection(tmp_path: Path) -> None:
    assert objections(tmp_path, main=step("tool.cwl"), tool=TOOL) == []


def test_a_requirement_that_no_engine_knows_is_refused_where_it_stands(tmp_path: Path) -> None:
    (found,) = objections(
        tmp_path, main=step("tool.cwl"), tool=TOOL + "requirements:\n  - class: TeleportRequirement\n"
    )
    assert (
        f"{tmp_path / 'tool.cwl'}:7" in found
        and "TeleportRequirement is not supported by cwltool 3.3" in found
    )


def test_as_a_hint_it_is_passed_over(tmp_path: Path) -> None:
    assert (
        objections(
            tmp_path,
            main=TOOL
            + "hints:\n  - class: TeleportRequirement\n  - {class: SoftwareRequirement, packages: {}}\n",
        )
        == []
    )


def test_a_circle_of_files_is_seen(tmp_path: Path) -> None:
    (found,) = objections(tmp_path, main=step("other.cwl"), other=step("main.cwl"))
    assert "other.cwl" in found and "a circle" in found


def test_steps_that_wait_for_each_other_are_a_circle(tmp_path: Path) -> None:
    head = "cwlVersion: v1.2\nclass: Workflow\ninputs: {x: int}\noutputs: {}\nsteps:\n"
    text = head + (
        "  first: {run: tool.cwl, in: {x: x}, out: [o]}\n"
        "  a: {run: tool.cwl, in: {x: first/o, y: c/o}, out: [o]}\n"
        "  b: {run: tool.cwl, in: [{id: x, source: [first/o, a/o]}], out: [o]}\n"
        "  c: {run: tool.cwl, in: {x: {source: '#b/o'}}, out: [o]}\n"
        "  alone: {run: tool.cwl, in: {x: alone/o}, out: [o]}\n"
        "  last: {run: tool.cwl, in: {x: c/o, y: first/o, z: {default: 3}}, out: [o]}\n"
    )
    found = sorted(objections(tmp_path, main=text, tool=TOOL))
    assert len(found) == 2, found
    assert "main.cwl:10" in found[0] and "the step alone waits for alone: a circle" in found[0]
    assert (
        "main.cwl:7" in found[1]
        and "the step a waits for c, which waits for b, which waits for a: a circle" in found[1]
    )
    assert objections(tmp_path, main=text.replace(", y: c/o", "").replace("alone/o", "x"), tool=TOOL) == []


def test_a_packed_workflow_has_a_circle_only_if_its_steps_do(tmp_path: Path) -> None:
    tool = "- {id: '#t', class: CommandLineTool, inputs: {x: int}, outputs: {o: int}}\n"
    step = "- {{id: '#main/{}', run: '#t', in: [{{id: '#main/{}/x', source: '{}'}}], out: ['#main/{}/o']}}"
    head = (
        "cwlVersion: v1.2\n$graph:\n"
        + tool
        + "- id: '#main'\n  class: Workflow\n  inputs: [{id: '#main/main', type: int}]\n"
    )
    head += "  outputs: []\n  steps:\n  "
    good = [step.format("main", "main", "#main/main", "main"), step.format("b", "b", "#main/main/o", "b")]
    assert objections(tmp_path, main=head + "\n  ".join(good) + "\n") == []
    bad = [step.format("a", "a", "#main/b/o", "a"), step.format("b", "b", "#main/a/o", "b")]
    (found,) = objections(tmp_path, main=head + "\n  ".join(bad) + "\n")
    assert "the step a waits for b, which waits for a: a circle" in found


def test_a_missing_file_and_a_syntax_error_are_reported_together(tmp_path: Path) -> None:
    found = objections(
        tmp_path, main=step("absent.cwl") + "  two: {run: broken.cwl, in: {}, out: []}\n", broken="class: [\n"
    )
    assert len(found) == 2
    assert any("main.cwl:7" in p and "there is no such file" in p for p in found), found
    assert any("broken.cwl:2" in p for p in found), found


def test_a_missing_include_is_reported(tmp_path: Path) -> None:
    text = (
        TOOL + "requirements:\n  InlineJavascriptRequirement:\n    expressionLib:\n      - $include: lib.js\n"
    )
    (found,) = objections(tmp_path, main=text)
    assert "main.cwl:9" in found and "lib.js" in found


@pytest.mark.parametrize("version", ["draft-3", "v9.9", ""])
def test_another_version_is_refused(tmp_path: Path, version: str) -> None:
    text = TOOL.replace("cwlVersion: v1.2\n", f"cwlVersion: {version}\n" if version else "")
    (found,) = objections(tmp_path, main=text)
    assert "cwlVersion" in found and "v1.2" in found


def test_what_came_later_needs_its_version(tmp_path: Path) -> None:
    text = TOOL.replace("v1.2", "v1.0") + "requirements: {WorkReuse: {enableReuse: false}}\n"
    (found,) = objections(tmp_path, main=text)
    assert "WorkReuse is part of CWL since v1.1" in found
    assert objections(tmp_path, main=text.replace("v1.0", "v1.1")) == []


def test_javascript_needs_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    plain = (
        TOOL
        + "requirements: {InlineJavascriptRequirement: {}}\narguments: [$(inputs.a), '$(inputs[\"b c\"].d[0])x', $5]\n"
    )
    assert objections(tmp_path, main=plain) == [], "references to parameters need none"
    (found,) = objections(tmp_path, main=plain.replace("$5", "$(1 + 1)"))
    assert "main.cwl:7" in found and "Node.js is not on PATH" in found and "nodejs" in found
    (tmp_path / "empty" / "node").symlink_to("/bin/true")
    assert objections(tmp_path, main=plain.replace("$5", "$(1 + 1)")) == []


def test_toil_changes_no_file_in_place(tmp_path: Path) -> None:
    text = TOOL + "requirements: {InplaceUpdateRequirement: {inplaceUpdate: true}}\n"
    assert objections(tmp_path, main=text) == []
    (found,) = objections(tmp_path, Toil(), main=text)
    assert "InplaceUpdateRequirement is not supported by Toil" in found


def test_an_abstract_operation_is_refused(tmp_path: Path) -> None:
    (found,) = objections(tmp_path, main=step("{class: Operation, inputs: {}, outputs: {}}"))
    assert "Operation can't be run" in found


def test_a_part_of_a_graph(tmp_path: Path) -> None:
    text = "cwlVersion: v1.2\n$graph:\n- {id: a, class: CommandLineTool, inputs: {}, outputs: {}}\n"
    text += "- {id: b, class: Workflow, inputs: {}, outputs: {}, steps: {s: {run: '#a', in: {}, out: []}}}\n"
    assert objections(tmp_path, item="b", main=text) == []
    (found,) = objections(tmp_path, item="c", main=text)
    assert "there is no #c" in found and "a, b" in found


def test_steps_and_their_jobs(tmp_path: Path) -> None:
    (tmp_path / "main.cwl").write_text(
        "cwlVersion: v1.2\nclass: Workflow\ninputs: {}\noutputs: {}\nsteps:\n"
        "  one: {run: tool.cwl, in: {}, out: []}\n"
        "  many: {run: tool.cwl, scatter: x, in: {}, out: []}\n"
        "  inner: {run: sub.cwl, scatter: x, in: {}, out: []}\n"
        "  nameless: {run: {class: CommandLineTool, inputs: {}, outputs: {}}, scatter: x, in: {}, out: []}\n"
    )
    (tmp_path / "tool.cwl").write_text(TOOL)
    (tmp_path / "sub.cwl").write_text(step("tool.cwl").replace("one", "deep"))
    steps = check.steps_of(tmp_path / "main.cwl", None)
    assert steps.scattered == {"one": False, "many": True, "deep": True, "nameless": True}
    assert [steps.of(n) for n in ("one", "many", "many_7", "deep_2")] == [
        ("one", None),
        ("many", "1"),
        ("many", "7"),
        ("deep", "2"),
    ]
    assert steps.of_toil("main.cwl.one.tool.cwl") == ("one", None)
    assert steps.of_toil("main.cwl.6.tool.cwl") == ("many", "7")
    assert steps.of_toil("main.cwl.0._:5f-3") == ("nameless", "1")


def test_steps_of_what_can_not_be_read_are_none(tmp_path: Path) -> None:
    assert check.steps_of(tmp_path / "absent.cwl", None) == Steps()
