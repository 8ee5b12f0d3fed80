"""esap-wf's plug-in for Snakemake: found, or told before a run what is missing and what helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import Place

from esap_wf.engines.snakemake import engine as snakemake
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.models.plan import EngineChoice


def installed(root: Path, **versions: str) -> EngineChoice:
    for name, version in versions.items():
        (root / "lib" / "python3.12" / "site-packages" / f"{name}-{version}.dist-info").mkdir(parents=True)
    return EngineChoice(
        name="snakemake", path=str(root / "bin" / "snakemake"), version=versions["snakemake"], found="PATH"
    )


def test_the_plugin_is_that_of_this_esap_wf_whatever_else_is_installed() -> None:
    assert (snakemake.plugin() / "__init__.py").is_file()
    assert Snakemake().lacks() == []
    assert snakemake.plugin().is_relative_to(Path(snakemake.__file__).parents[3])


def test_a_lost_plugin_is_reported_by_doctor_and_plan_before_any_run(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(snakemake, "plugin", lambda: tmp_path / "gone")
    doctor = place.inside("doctor")
    assert doctor.code == 4
    (row,) = (line for line in doctor.out.splitlines() if "own plug-in" in line)
    assert row.startswith("MISSING")
    assert "pip install --force-reinstall" in " ".join(doctor.out.split())
    plan = place.inside("plan", "irf", "--json")
    assert plan.code == 4
    assert str(tmp_path / "gone") in plan.problems
    assert "pip install --force-reinstall" in plan.problems
    assert place.runs() == []


def test_a_snakemake_that_lacks_what_the_plugin_imports_does_not_fit(tmp_path: Path) -> None:
    engine = Snakemake()
    assert (
        engine.why_unsuitable(
            installed(tmp_path / "a", snakemake="9.27.1", snakemake_interface_logger_plugins="2.1.0"), None
        )
        == ""
    )
    older = engine.why_unsuitable(
        installed(tmp_path / "b", snakemake="9.3.0", snakemake_interface_logger_plugins="1.1.0"), None
    )
    assert "1.1.0, >=1.2 is needed" in older
    assert "pip install --upgrade snakemake-interface-logger-plugins" in older
    assert "pip install" in engine.why_unsuitable(installed(tmp_path / "c", snakemake="9.27.1"), None)
    assert (
        engine.why_unsuitable(
            EngineChoice(name="snakemake", path="/nowhere/bin/snakemake", version="9.27.1", found="PATH"),
            None,
        )
        == ""
    )
