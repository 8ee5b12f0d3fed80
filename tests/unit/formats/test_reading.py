"""What is read is a file: never a pipe, a device or a folder, and never more than a limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from esap_wf.errors import NotFoundError, UsageError
from esap_wf.formats import documents, reading, tables
from esap_wf.request import rows


@pytest.fixture(params=["pipe", "device", "endless", "folder", "socket", "nothing", "link to itself"])
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A name that leads to no file."""
    path = tmp_path / "strange.csv"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/tty")
        case "endless":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as made:
                made.bind(os.path.relpath(path) if len(str(path)) > 100 else str(path))
        case "link to itself":
            path.symlink_to(path)
    return path


def test_what_is_no_file_is_an_error_at_once(strange: Path) -> None:
    with pytest.raises(UsageError) as reported:
        reading.read_text(strange)
    assert reported.value.problems[0].where == str(strange)
    with pytest.raises(OSError):
        reading.opened(strange)
    for read in (tables.csv_rows(strange), rows.rows_of(strange, {})):
        with pytest.raises(UsageError):
            next(iter(read))


def test_more_than_a_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="too large"):
        reading.read_bytes(tmp_path / "large", limit=1_000_000)
    with pytest.raises(UsageError, match="longer than"):
        next(iter(tables.csv_rows(tmp_path / "large")))


def test_a_name_with_nul_is_an_error() -> None:
    with pytest.raises(UsageError, match="null"):
        reading.read_bytes(Path("a\0b"))
    with pytest.raises(NotFoundError):
        reading.read_bytes(Path("/none/such"))


def test_lines_are_those_of_tables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n1,"x\r\ny"\r\n2,z')
    assert list(tables.csv_rows(tmp_path / "t.csv")) == [
        (3, {"a": "1", "b": "x\r\ny"}),
        (4, {"a": "2", "b": "z"}),
    ]


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"a": ' * 5000, "nan-", "[1e99999999999999"])
def test_hostile_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        reading.json_value(text)


def seconds(text: str, source: str) -> float:
    import time

    started = time.process_time()
    with pytest.raises(UsageError) as reported:
        documents.parse(text, source)
    assert len(str(reported.value)) < 10_000
    return time.process_time() - started


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("{" + ",".join(f'"k{n % 15_000}": 1' for n in range(30_000)) + "}", "x.json"),
        ("\n".join(f"k{n}: .inf" for n in range(20_000)), "x.yaml"),
        ("- .inf\n" * 20_000, "x.yaml"),
        ("%TAG !a! tag:x,2000:\n" * 30_000 + "--- 1", "x.yaml"),
        ("[" * 900 + "]" * 900, "x.json"),
        ("a: " + "1" * 5000, "x.yaml"),
        ('{"a": ' + "1" * 5000 + "}", "x.json"),
        (
            "- [1, 1, 1, 1]\n" * 20
            + "".join(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]\n" for n in range(9)),
            "x.yaml",
        ),
    ],
    ids=[
        "twice",
        "inf in a mapping",
        "inf in a list",
        "directives",
        "deep",
        "digits",
        "digits in JSON",
        "aliases",
    ],
)
def test_errors_cost_no_more_than_reading(text: str, source: str) -> None:
    assert seconds(text, source) < 3
