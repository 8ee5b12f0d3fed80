"""What is the result of a Nextflow pipeline: all that it publishes and that appears where it is launched, by any expression and mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import Place
from services.nextflow import nextflow_fixture  # noqa: F401

pytestmark = pytest.mark.integration

#: Published folders that are links (the default), a closure, an empty folder, a place outside, and what no `publishDir` names.
PIPELINE = """
params.outdir = 'results'
params.raw = 'raw.txt'
process MAKE {
    publishDir params.outdir
    publishDir { "by id/${id}" }, mode: 'copy', saveAs: { it == 'empty' ? 'renamed' : null }
    publishDir "ELSEWHERE/${id}", mode: 'copy', pattern: '*.txt'
    input:
    tuple val(id), path(raw)
    output:
    path "logs_${id}"
    path "empty"
    path "table.txt"
    path raw
    script:
    '''
    mkdir -p logs_gut/deep empty
    echo report > logs_gut/deep/gut.html
    echo 1 > table.txt
    '''
}
workflow {
    MAKE(channel.of('gut').combine(channel.fromPath(params.raw)))
    channel.of('a', 'b').collectFile(name: 'all.txt', storeDir: 'collected', newLine: true)
}
"""


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
