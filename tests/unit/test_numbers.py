"""Results compared by their numbers: last digits don't count, more does, column by column."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from astropy.io import fits

from esap_wf import files
from esap_wf.models.manifest import Comparison, Output
from esap_wf.planning import comparison
from esap_wf.planning.numbers import differing
from esap_wf.runs import cpu
from esap_wf.runs.store import Run

AREA = np.geomspace(1e-30, 1e6, 50)


def table(path: Path, factor: float = 1.0, noise: float = 1.0, name: str = "AREA", card: str = "m") -> Path:
    columns = [
        fits.Column("area", "D", array=AREA * factor),
        fits.Column("noise", "D", array=AREA * noise),
        fits.Column("cut", "4A", array=["a"] * 50),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    hdu.header["WHO"] = card
    hdu.add_checksum()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("changes", "rule", "told"),
    [
        ({"factor": 1 + 1e-13}, {"rtol": 1e-12}, ""),
        ({"factor": 1 + 1e-11}, {"rtol": 1e-12}, "AREA area"),
        ({"noise": 1 + 1e-4}, {"rtol": 1e-12}, "AREA noise"),
        ({"noise": 1 + 1e-4}, {"rtol": 1e-12, "columns": {"noise": 1e-3}}, ""),
        ({"noise": 2.0}, {"rtol": 1e-12, "columns": {"noise": 1e-3}}, "AREA noise"),
        ({"noise": float("nan")}, {"rtol": 1e-12}, "AREA noise"),
        ({"noise": 2.0}, {"ignore": ["noise"]}, ""),
        ({"name": "OTHER"}, {"rtol": 0.5}, "other extensions"),
        ({"card": "other"}, {"rtol": 0.5}, "AREA WHO"),
    ],
)
def test_tables_are_compared_by_column(tmp_path: Path, changes: dict, rule: dict, told: str) -> None:
    found = differing(table(tmp_path / "a.fits"), table(tmp_path / "b.fits", **changes), Comparison(**rule))
    assert [told] == [f.split(":")[0] for f in found] if told else found == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"x": [1, 2.0000000001], "n": {"pull": 0.5001}, "sha256": "b", "ok": True}, []),
        ({"x": [1, 2.1], "n": {"pull": 0.5}, "sha256": "a", "ok": True}, ["x[1]: 2.0 and 2.1"]),
        ({"x": [1, 2.0], "n": {"pull": 0.6}, "sha256": "a", "ok": False}, ["n.pull: 0.5 and 0.6", "ok"]),
        ({"x": [1], "n": {"pull": 0.5}, "sha256": "a", "ok": True}, ["x"]),
    ],
)
def test_documents_are_compared_by_key(tmp_path: Path, other: dict, told: list[str]) -> None:
    one, two = tmp_path / "a.json", tmp_path / "b.json"
    one.write_text(json.dumps({"x": [1, 2.0], "n": {"pull": 0.5}, "sha256": "a", "ok": True}))
    two.write_text(json.dumps(other))
    assert differing(one, two, Comparison(rtol=1e-9, columns={"pull": 1e-3}, ignore=["sha256"])) == told


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    table(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes(b"no FITS")
    assert (
        "cannot be compared" in differing(tmp_path / "a.fits", tmp_path / "b.fits", Comparison(rtol=1e-9))[0]
    )
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    assert differing(tmp_path / "a.txt", tmp_path / "b.txt", Comparison(rtol=1e-9)) == ["content"]


def test_results_that_differ_in_last_digits_are_no_difference_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = [
        Output(name="irf", path="outputs/*.fits", compare=Comparison(rtol=1e-12)),
        Output(name="text", path="outputs/a.md"),
    ]
    monkeypatch.setattr(files, "read_json", lambda *_: SimpleNamespace(outputs=declared))
    one, two = (cast(Run, SimpleNamespace(dir=tmp_path / name)) for name in ("one", "two"))
    for run, last in zip((one, two), (1.0, 1 + 1e-14), strict=True):
        (run.dir / "outputs").mkdir(parents=True)
        table(run.dir / "outputs/irf.fits", last)
        table(run.dir / "outputs/wrong.fits", 1 + (last > 1) * 1e-3)
        (run.dir / "outputs/a.md").write_text(run.dir.name)
    row = ("output outputs/irf.fits", "aa", "bb")
    assert comparison._by_numbers(one, two, row) == []
    ((_, _, told),) = comparison._by_numbers(one, two, ("output outputs/wrong.fits", "aa", "bb"))
    assert "AREA area: by 0.001" in told
    for other in (
        ("output outputs/a.md", "aa", "bb"),
        ("output outputs/gone.fits", "aa", "-"),
        ("parameter outputs/irf.fits", "1", "2"),
    ):
        assert comparison._by_numbers(one, two, other) == [other]


def test_kind_of_cpu_is_its_vector_instructions(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nflags\t\t: fpu sse sse4_2 avx512f avx2 fma rtm\n\nprocessor\t: 1\nflags\t\t: fpu avx512_vnni\n"
    )
    assert cpu.features(info).split()[1:] == ["avx2", "avx512f", "fma", "sse4_2"]
    assert len(cpu.features(tmp_path / "missing").split()) == 1
