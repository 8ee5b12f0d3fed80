"""
What a CWL engine's words mean: of an expression that fails the cause stands at their end, behind the whole
program.
"""

from __future__ import annotations

import re

from esap_wf.formats.printing import clipped

FAILED = "Expression evaluation error"
_PLACE = re.compile(r"\S+:\d+:\d+:(?=\s|$)")
_LINE = re.compile(r"^\s*(?:\S+:\d+:\d+:)?\s*(.*?)\s*$")
_PROGRAM = re.compile(r"(?:\d+ )?\(function\(\)\{(?P<body>.*)\}\)\(\)")
_RETURN = re.compile(r"return \(\((?P<value>.*)\)\);?")
_ERROR = re.compile(r"\w*Error\b: .*")
_STDERR = re.compile(r"stderr was: '(?P<text>.*)")


def expression(text: str) -> str:
    """
    ``Cannot make job: main.cwl:6:79: $(inputs.x.y) fails: TypeError: …`` of a message about an expression;
    any other one as it is.
    """
    if FAILED not in text:
        return text
    head, _, rest = text.partition(FAILED)
    position = _PLACE.search(text)
    lines = [_LINE.sub(r"\1", line) for line in rest.splitlines()]
    program = next((m for line in reversed(lines) if (m := _PROGRAM.fullmatch(line))), None)
    cause = _cause(lines)
    if not cause:
        return text
    what = " ".join(_PLACE.sub(" ", head).split()).removeprefix("Failed to evaluate expression:").strip()
    return " ".join(
        part
        for part in (what, position[0] if position else "", f"{_written(program)} fails: {cause}")
        if part
    )


def _cause(lines: list[str]) -> str:
    behind = next((i for i, line in enumerate(lines) if _STDERR.match(line)), None)
    if behind is None:
        return next((line for line in lines if line), "")
    printed = [_STDERR.sub(r"\g<text>", lines[behind]), *lines[behind + 1 :]]
    error = next((m[0] for line in printed if (m := _ERROR.search(line))), "")
    return (error or next((line for line in printed if line.strip("'")), "")).strip("'").strip()


def _written(program: re.Match[str] | None) -> str:
    """The expression as the document has it, as far as that can be told."""
    if program is None:
        return "an expression"
    body = program["body"].strip()
    value = _RETURN.fullmatch(body)
    shown = f"$({value['value']})" if value else f"${{ {body} }}"
    return clipped(shown, 200)
