"""A run cut into slices, with nothing but the engines: the stages map and join of the house workflows make the bytes of one run.

The slices work in folders of their own; what they give is brought to the same paths of another folder, and joined there.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import CACHE, ROOT
from services import engines

from esap_wf import plugins
from esap_wf.catalogue import manifests
from esap_wf.config import Config
from esap_wf.engines import EngineBase, Job, JobInput
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.engines.stages import stage_job
from esap_wf.models.manifest import Implementation
from esap_wf.models.plan import Allocation, EngineChoice, SoftwareChoice
from esap_wf.models.request import DataRef
from esap_wf.running import render

ENGINES = ("snakemake", "nextflow", "cwl", "toil")


@dataclass(frozen=True)
class Bare:
    """A house workflow with one engine, rendered and started without anything else of esap-wf."""

    root: Path
    workflow: str
    engine: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Path]
    path: str = ""

    @property
    def implementation(self) -> Implementation:
        manifest = manifests.read_manifest(ROOT / "workflows" / self.workflow / "workflow.yaml").manifest
        return next(i for i in manifest.implementations if i.engine == self.engine)

    def job(self) -> Job:
        """Of the whole run; the snapshot is the checkout."""
        return Job(
            workflow=self.workflow,
            entry=f"code/workflows/{self.workflow}/{self.implementation.file}",
            parameters=self.parameters,
            inputs={n: JobInput((DataRef(uri=str(p), path=str(p)),)) for n, p in self.inputs.items()},
            selected={},
            allocation=Allocation(cores=2, memory_bytes=2_000_000_000, disk_bytes=0, wall_seconds=600),
            software=SoftwareChoice(route="installed", detail=""),
            folder=f"code/workflows/{self.workflow}",
        )

    def run(self, name: str, job: Job, given: Mapping[str, Path] | None = None, fails: bool = False) -> Path:
        """One engine run in a folder of its own, to its end."""
        folder = self.root / name
        folder.mkdir(parents=True)
        engine: EngineBase = plugins.one("esap_wf.engines", self.engine)
        (folder / "code").symlink_to(ROOT)
        made = engine.render(_choice(self.engine), job)
        render.write(made, folder, job.folder)
        for path, source in (given or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / path)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "NXF_", "PYTEST_"))}
        done = subprocess.run(
            made.command,
            cwd=folder,
            env={
                **kept,
                **made.environment,
                "PATH": os.pathsep.join(filter(None, [self.path, kept["PATH"]])),
            },
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        (folder / "logs/engine.log").write_text(done.stdout + done.stderr)
        return folder

    def cut(self, slices: int) -> tuple[list[Path], Path]:
        """Map each slice, bring over what it gives, join."""
        implementation = self.implementation
        assert implementation.map and implementation.join
        folders = [
            self.run(f"slice-{number}", stage_job(self.job(), implementation.map, number, slices, {}))
            for number in range(1, slices + 1)
        ]
        given: dict[str, list[str]] = {name: [] for name in implementation.map.gives}
        sources: dict[str, Path] = {}
        for folder in folders:
            for name, pattern in implementation.map.gives.items():
                there = [p for p in files_below(folder) if fnmatch.fnmatchcase(p, pattern)]
                assert not set(there) & set(sources), "no file is made by two slices"
                given[name] += there
                sources |= {path: folder / path for path in there}
        join = stage_job(self.job(), implementation.join, None, slices, given)
        return folders, self.run("join", join, sources)


def _choice(name: str) -> EngineChoice:
    """The engine of the tests, as a plan would name it."""
    engine: EngineBase = plugins.one("esap_wf.engines", name)
    program = str(engines.program(name))
    config = Config(CACHE / "store", CACHE, CACHE / "config.toml", engines={name: {"path": program}})
    return next(choice for choice in engine.installations(config) if choice.found == "configured")


def files_below(folder: Path, top: Iterable[str] = ("outputs", "work")) -> list[str]:
    return sorted(
        str(p.relative_to(folder)) for name in top for p in (folder / name).rglob("*") if p.is_file()
    )


def checksums(folder: Path) -> dict[str, str]:
    """The outputs' checksums by path."""
    return {
        p: hashlib.sha256((folder / p).read_bytes()).hexdigest() for p in files_below(folder, ["outputs"])
    }


def executions(folder: Path) -> dict[str, int]:
    """How often each unit was started."""
    accounts = folder.rglob("work/**/executions/*.log")
    return {p.stem: p.read_text().count("start") for p in accounts}


def units(**given: Any) -> dict[str, Any]:
    """Every parameter of noop, as a run of esap-wf has them."""
    defaults = {
        "units": 7,
        "seconds": 0,
        "output_bytes": 40,
        "group_size": 0,
        "fail_unit": None,
        "exit_code": 3,
    }
    return {**defaults, **given}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven units, not in alphabetical order."""
    path = tmp_path_factory.mktemp("table") / "units.csv"
    rows = (f'{key},0,"it\'s {{x}} $(touch pwned)"\n' for key in "gfedcba")
    path.write_text("unit,seconds,payload\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, table: Path) -> dict[str, str]:
    """What one run makes of the table; the same with every engine (tests/features)."""
    bare = Bare(
        tmp_path_factory.mktemp("whole"), "noop", "snakemake", units(group_size=3), {"units_table": table}
    )
    return checksums(bare.run("whole", bare.job()))


@pytest.mark.parametrize("engine", ENGINES)
def test_slices_and_their_join_make_the_bytes_of_one_run(
    tmp_path: Path, engine: str, table: Path, whole: dict[str, str]
) -> None:
    """Seven units in three slices: contiguous shares, each unit runs once, and none in the join. Toil, slow, gets two."""
    bare = Bare(tmp_path, "noop", engine, units(group_size=3), {"units_table": table})
    shares = ["gf", "ed", "cba"] if engine != "toil" else ["gfe", "dcba"]
    slices, join = bare.cut(len(shares))
    assert checksums(join) == whole
    assert len(whole) == 7 + 2
    made = [sorted(p.stem for p in (s / "outputs/units").glob("*.dat")) for s in slices]
    assert made == [sorted(share) for share in shares]
    if engine in ("snakemake", "nextflow"):  # CWL's tools leave nothing but their outputs
        assert [executions(s) for s in slices] == [dict.fromkeys(names, 1) for names in made]
        assert executions(join) == {}
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "engine", ["snakemake", "nextflow", "cwl", pytest.param("toil", marks=pytest.mark.soak)]
)
def test_as_many_slices_as_units(tmp_path: Path, engine: str) -> None:
    """Without groups, without a table."""
    bare = Bare(tmp_path, "noop", engine, units(units=2), {})
    whole = bare.run("whole", bare.job())
    slices, join = bare.cut(2)
    assert checksums(join) == checksums(whole)
    assert [list(checksums(s)) for s in slices] == [[f"outputs/units/u0000{n}.dat"] for n in (1, 2)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_unit_that_fails_fails_in_its_slice_only(tmp_path: Path, engine: str) -> None:
    """It is counted among all units: the fourth of five is the second of the second slice."""
    bare = Bare(tmp_path, "noop", engine, units(units=5, fail_unit=4), {})
    stage = bare.implementation.map
    assert stage
    slice_ = bare.run("2", stage_job(bare.job(), stage, 2, 2, {}), fails=True)
    logs = [*slice_.glob("logs/**/*.log"), *slice_.glob("work/*/*/.command.log")]
    said = "".join(p.read_text() for p in logs)
    assert "fails as asked for, with exit status 3" in said
    if engine in ("snakemake", "nextflow"):  # CWL makes no folder of them
        assert sorted(executions(slice_)) == ["u00003", "u00004", "u00005"]
        assert list(checksums(slice_)) == [f"outputs/units/u0000{n}.dat" for n in (3, 5)]


def test_a_join_of_snakemake_runs_nothing_of_a_slice_whatever_the_times_are(tmp_path: Path) -> None:
    """Files of slices are older and newer than what was made of them; joined again, only what is missing is made."""
    bare = Bare(tmp_path, "noop", "snakemake", units(), {})
    _, join = bare.cut(2)
    for number, file in enumerate(sorted((join / "outputs/units").glob("*.dat"))):
        os.utime(file, (number * 10**9, number * 10**9))
    (join / "outputs/verdict.json").unlink()
    before = checksums(join)
    stage, given = bare.implementation.join, [str(p) for p in before if p.startswith("outputs/units/")]
    assert stage
    made = Snakemake().render(
        _choice("snakemake"), stage_job(bare.job(), stage, None, 2, {"unit_files": given})
    )
    done = subprocess.run(made.command, cwd=join, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "rule unit:" not in done.stderr
    assert checksums(join).items() >= before.items()


def test_a_join_of_snakemake_says_which_file_is_missing(tmp_path: Path) -> None:
    bare = Bare(tmp_path, "noop", "snakemake", units(units=2), {})
    stage, here = bare.implementation.join, tmp_path / "u00001.dat"
    assert stage
    here.write_text("x")
    job = stage_job(bare.job(), stage, None, 2, {"unit_files": ["outputs/units/u00001.dat"]})
    folder = bare.run("join", job, {"outputs/units/u00001.dat": here}, fails=True)
    log = "".join(p.read_text() for p in (folder / ".snakemake/log").iterdir())
    assert "MissingInputException" in log and "outputs/units/u00002.dat" in log
