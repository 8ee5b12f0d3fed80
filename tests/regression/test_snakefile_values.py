"""``config.get("name", default)`` is the usual way to a value that no configuration file has to hold."""

from __future__ import annotations

from pathlib import Path

from esap_wf.engines.snakemake.interface import derive

SNAKEFILE = 'N = config.get("n", 2)\nMODE = config.get("mode", "fast")\nX = config.get("x")\nY = config.get("y", f(1))\nrule all:\n    input: []\n'


def test_they_are_parameters_with_the_pipelines_default(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    found = derive(tmp_path, None)
    assert found is not None
    assert {n: p.get("engine_default") for n, p in found.schema["properties"].items()} == {
        "n": 2,
        "mode": "fast",
        "x": None,
    }
    assert found.origins["parameters.mode"] == "Snakefile:2"
    assert not found.schema.get("required")


def test_they_stand_beside_those_of_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text('configfile: "c.yaml"\n' + SNAKEFILE)
    (tmp_path / "c.yaml").write_text("n: 5\nx: {deep: 1}\n")
    found = derive(tmp_path, None)
    assert found is not None
    assert {n: p.get("engine_default") for n, p in found.schema["properties"].items()} == {
        "n": 5,
        "x.deep": 1,
        "mode": "fast",
    }


def test_a_blank_title_is_none(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text('validate(config, "s.json")\nrule all:\n    input: []\n')
    schema = '{"properties": {"n": {"type": "integer", "title": "  "}, "m": {"description": "\\n"}, "f": {"format": "file-path", "title": " "}}}'
    (tmp_path / "s.json").write_text(schema)
    found = derive(tmp_path, None)
    assert found is not None
    assert {n: p["title"] for n, p in found.schema["properties"].items()} == {"n": "n", "m": "m"}
    assert found.inputs["f"].title == "f"
