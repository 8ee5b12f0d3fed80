"""Lines of esap-wf's own log: safe to be shown, and gone when nobody wants them any more."""

from __future__ import annotations

import logging
import re

import pytest

from esap_wf.formats import log_lines


def test_a_line_has_its_time_in_utc_and_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    end = log_lines.to_stderr(logging.INFO)
    logger = logging.getLogger("esap_wf.somewhere")
    logger.info("image %s", "a\x1b[2Jb\nc")
    logger.debug("nothing of this")
    try:
        raise ValueError("a\x1bb")
    except ValueError:
        logger.exception("a bug")
    end()
    logger.info("nothing after the end")
    first, second, *trace = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO esap_wf\.somewhere: image a\\x1b\[2Jb\\nc", first
    )
    assert second.endswith("ERROR esap_wf.somewhere: a bug")
    assert trace[0].startswith("Traceback")
    assert trace[-1] == "ValueError: a\\x1bb"
