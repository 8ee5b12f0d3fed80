"""What is the result of a Nextflow pipeline: all that it publishes and that appears where it is launched, by any expression and mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import Place
from services.nextflow import nextflow_fixture  # noqa: F401

pytestmark = pytest.mark.integration

PIPELINES = Path(__file__).with_name("pipelines") / "nextflow"
#: Published folders that are links (the default), a closure, an empty folder, a place outside, and what no `publishDir` names.
PIPELINE = (PIPELINES / "published/main.nf").read_text()


def test_all_that_is_published_and_appears_is_a_result_and_what_is_elsewhere_is_reported(
    place: Place, nextflow: Path, tmp_path: Path
) -> None:
    (place.root / "config.toml").write_text(f'[engines.nextflow]\npath = "{nextflow}"\n')
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "main.nf").write_text(PIPELINE.replace("ELSEWHERE", str(tmp_path / "elsewhere")))
    (tmp_path / "mine.txt").write_text("mine\n")
    done = place("run", folder, "--raw", tmp_path / "mine.txt", "--json")
    assert done.code == 0, done.err
    reported = place("results", done.json["run"], "--json").json
    assert {o["path"] for o in reported["outputs"]} == {
        "outputs/logs_gut/",
        "outputs/logs_gut/deep/gut.html",
        "outputs/empty/",
        "outputs/table.txt",
        "outputs/mine.txt",
        "by id/gut/renamed/",
        "collected/all.txt",
    }
    assert (tmp_path / "elsewhere/gut/table.txt").is_file()
    assert f"{tmp_path}/elsewhere/gut/table.txt is outside of the run directory" in "\n".join(
        reported["warnings"]
    )
    assert place("results", done.json["run"], "--copy-to", tmp_path / "to").code == 0
    copied = tmp_path / "to"
    assert (copied / "logs_gut/deep/gut.html").read_text() == "report\n"
    assert not (copied / "logs_gut").is_symlink()
    assert (copied / "mine.txt").read_text() == "mine\n"
    assert (copied / "by id/gut/renamed").is_dir()
