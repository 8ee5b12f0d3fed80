"""Of several engines the first that fits what the pipeline needs is taken, and advice leads somewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Done, Place
from services import engines

from esap_wf.catalogue import workflows
from esap_wf.config import Config
from esap_wf.engines import EngineBase, programs
from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.nextflow.engine import Nextflow
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.errors import RefusedError
from esap_wf.planning.runners import find_engine

SNAKEFILE = 'import notable\nrule all:\n    output: "o"\n    shell: "touch o"\n'


def environment(folder: Path, *modules: str) -> Path:
    """A virtual environment as it looks from outside: a Snakemake 9 with some modules beside it. It is never started."""
    site = folder / "lib/python3.11/site-packages"
    for module in ("snakemake", *modules):
        (site / module).mkdir(parents=True)
    for name, version in (("snakemake", "9.27.1"), ("snakemake-interface-logger-plugins", "2.0.0")):
        dist = site / f"{name.replace('-', '_')}-{version}.dist-info"
        dist.mkdir()
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "bin").mkdir()
    for name in ("python", "snakemake"):
        (folder / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/Snakefile").write_text(SNAKEFILE)
    return tmp_path / "p"


def test_the_first_candidate_that_has_what_the_pipeline_imports_is_taken(
    pipeline: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, rich = environment(tmp_path / "bare"), environment(tmp_path / "rich", "notable")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(bare), str(rich), os.environ["PATH"]]))
    workflow = workflows.find(config, str(pipeline))
    _, _, choice, passed = find_engine(workflow, config, None)
    assert choice.path == str(rich / "snakemake")
    assert len(passed) == 1 and f"at {bare}/snakemake (PATH): imports notable" in passed[0]

    monkeypatch.setenv("PATH", str(bare))
    with pytest.raises(RefusedError, match=r"Snakefile:1: imports notable.*pip install notable"):
        find_engine(workflow, config, None)
    (pipeline / "Snakefile").write_text(SNAKEFILE.replace("notable", "pandas"))
    with pytest.raises(RefusedError, match="esap-wf engines install snakemake gives one that has it"):
        find_engine(workflows.find(config, str(pipeline)), config, None)


@pytest.mark.parametrize(
    ("engine", "old", "new"),
    [(Nextflow(), ">=23.04", "!>=25.10.0"), (Snakemake(), ">=9.5", ">=99"), (Cwltool(), ">=3.3", ">=9")],
)
def test_an_installation_is_advised_only_if_it_gives_what_is_needed(
    engine: EngineBase, old: str, new: str
) -> None:
    assert f"esap-wf engines install {engine.name}" in programs.advice(engine, old)
    advised = programs.advice(engine, new)
    given = engine.installable(new)
    assert given and not given.fits and f"gives {given.version}, which does not fit" in advised
    assert f"[engines.{engine.name}] path" in advised


@pytest.mark.integration
def test_a_pipeline_for_a_newer_nextflow_is_refused_with_a_way_that_leads_there(
    place: Place, inside: Callable[..., Done], tmp_path: Path
) -> None:
    (place.root / "config.toml").write_text(engines.configuration("nextflow"))
    (tmp_path / "main.nf").write_text("workflow { }\n")
    (tmp_path / "nextflow.config").write_text("manifest.nextflowVersion = '!>=99.10'\n")
    refused = inside("plan", tmp_path / "main.nf", "--json")
    assert refused.code == 4 and "99.10 is needed" in refused.problems
    assert "gives 24.10.0, which does not fit" in refused.problems
