"""Cores, memory and time that the processes of a Nextflow pipeline ask for, by their directives and the
configuration.

What is computed when a task runs is no number here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esap_wf.engines import Demand
from esap_wf.engines.nextflow import scripts as nextflow_scripts
from esap_wf.engines.nextflow.calls import Calls
from esap_wf.engines.nextflow.groovy import Source
from esap_wf.engines.nextflow.groovy_values import Value, value
from esap_wf.engines.nextflow.settings import Settings
from esap_wf.engines.nextflow.statements import read_config
from esap_wf.formats import documents

#: Directive → what it is called here.
ASKED = {"cpus": "cores", "memory": "memory", "time": "wall"}
_LIMITS = "resourceLimits"
#: What begins the part of a process in which no directives stand.
_PARTS = {"input", "output", "script", "shell", "exec", "stub", "when"}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)[. ]*([KMGTPEZ]?)B?", re.IGNORECASE)
_TIME = re.compile(
    r"(\d+(?:\.\d+)?)[. ]*(ms|millis?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)\b", re.IGNORECASE
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PARAMETER = re.compile(r"params\.([\w.]+)")
_PUT_IN = re.compile(r"\$\{\s*params\.([\w.]+)\s*\}|\$params\.(\w+(?:\.\w+)*)")


@dataclass
class _Process:
    """A process: its labels and its directives (value, ``file:line``)."""

    name: str
    labels: list[str] = field(default_factory=list)
    directives: dict[str, tuple[Value, str]] = field(default_factory=dict)


def demands(main: Path, item: str | None, options: Sequence[str], values: Mapping[str, Any]) -> list[Demand]:
    """
    What the processes ask for, in the order in which Nextflow looks: configuration, directives,
    ``withLabel``, ``withName``.

    Parameters
    ----------
    main : Path
        The script.
    item : str, optional
        The named workflow that is meant.
    options : sequence of str
        The user's own for Nextflow: a profile.
    values : mapping
        Parameters that were given.
    """
    settings = Settings(profiles=profiles_of(options))
    scripts = nextflow_scripts.read_scripts(main, main.parent, settings)
    config = main.parent / "nextflow.config"
    if config.is_file():
        read_config(settings, config, main.parent)
    sources = [Source(documents.read_text(p), str(p)) for p in sorted(scripts.files)]
    called = Calls(sources, main).always(item)
    known = _Known(
        settings,
        values,
        elsewhere=any(o in ("-c", "-C", "-config") or o.startswith("-process.") for o in options),
    )
    return [
        d
        for source in sources
        for process in _processes(source)
        for d in known.of(process, process.name in called)
    ]


def profiles_of(options: Sequence[str]) -> tuple[str, ...]:
    """Profiles that a user's options name."""
    found: list[str] = []
    for i, option in enumerate(options):
        text = options[i + 1] if option == "-profile" and i + 1 < len(options) else ""
        text = option.partition("=")[2] if option.startswith("-profile=") else text
        found += [name.strip() for name in text.split(",") if name.strip()]
    return tuple(found) or ("standard",)


class _Known:
    """Numbers, as far as configuration and parameters show them."""

    def __init__(self, settings: Settings, values: Mapping[str, Any], elsewhere: bool) -> None:
        self.settings, self.values, self.elsewhere = settings, values, elsewhere
        #: What selectors set: (is it a label, pattern, directive) → value, place, whether it is certain.
        self.selected = [
            (match[1] == "Label", match[2], match[3], s)
            for s in settings.found
            if (match := re.fullmatch(rf"process\.with(Label|Name):(.+)\.({'|'.join(ASKED)})", s.name))
        ]

    def of(self, process: _Process, certain: bool) -> Iterator[Demand]:
        """What one process asks for."""
        for directive, what in ASKED.items():
            setting = self._setting(process, directive)
            if setting is None:
                continue
            found, where, sure = setting
            amount = self._amount(what, found) if sure and not self.elsewhere else None
            limit, capped = self._limit(process, directive, what)
            if limit is not None and amount is not None:
                amount = min(amount, limit)
            fails = what != "wall" and amount is not None and (limit is not None or not capped)
            yield Demand(
                what, amount, f"process {process.name}", where, limited=fails, fails=fails, certain=certain
            )

    def _setting(self, process: _Process, directive: str) -> tuple[Value, str, bool] | None:
        """Value, where it stands, and whether it is the one that counts."""
        there = self.settings.last(f"process.{directive}")
        counts = (there.value, there.origin, there.certain) if there else None
        if directive in process.directives:
            counts = (*process.directives[directive], True)
        for labels in (True, False):
            for is_label, pattern, named, setting in self.selected:
                if is_label is not labels or named != directive:
                    continue
                applies = _applies(pattern, process.labels if labels else [process.name])
                if applies or applies is None:
                    counts = (setting.value, setting.origin, setting.certain and applies is True)
        return counts

    def _limit(self, process: _Process, directive: str, what: str) -> tuple[int | None, bool]:
        """What ``resourceLimits`` leaves of it, if that is a number; whether there are any."""
        own = process.directives.get(_LIMITS)
        if own and directive in own[0].data:
            return self._amount(what, Value("literal", own[0].data[directive], "")), True
        there = self.settings.last(f"process.{_LIMITS}.{directive}")
        capped = own is not None or any(f".{_LIMITS}" in s.name for s in self.settings.found)
        return (self._amount(what, there.value) if there and there.certain else None), capped

    def _amount(self, what: str, found: Value) -> int | None:
        data = found.data if found.kind == "literal" else None
        if found.kind == "code" and (match := _PARAMETER.fullmatch(found.text.strip())):
            data = self._parameter(match[1])
        elif found.kind == "template":
            parts = [self._parameter(a or b) for a, b in _PUT_IN.findall(found.text)]
            text = _PUT_IN.sub("\0", found.text)
            if None in parts or "$" in text:
                return None
            for part in parts:
                text = text.replace("\0", str(part), 1)
            data = text
        return amount_of(what, data)

    def _parameter(self, name: str) -> Any:
        if self.values.get(name) is not None:
            return self.values[name]
        setting = self.settings.last(f"params.{name}")
        return setting.value.data if setting and setting.certain and setting.value.kind == "literal" else None


def amount_of(what: str, data: Any) -> int | None:
    """``'2 GB'`` (2^31 bytes to Nextflow), ``2.GB``, ``'1h 30m'``, ``4``; None if it is none of these."""
    if isinstance(data, bool) or not isinstance(data, (int, float, str)):
        return None
    text = str(data).strip()
    if what == "cores":
        return int(text) if re.fullmatch(r"\d{1,6}", text) else None
    if what == "memory":
        match = _SIZE.fullmatch(text)
        return int(float(match[1]) * 1024 ** " KMGTPEZ".index(match[2].upper() or " ")) if match else None
    if isinstance(data, (int, float)):
        return int(data) // 1000 if math.isfinite(data) else None
    parts = _TIME.findall(text)
    if not parts or _TIME.sub("", text).strip():
        return None
    return round(
        sum(
            float(n) * (0.001 if u.lower().startswith(("ms", "milli")) else _SECONDS[u[0].lower()])
            for n, u in parts
        )
    )


def _applies(pattern: str, names: Sequence[str]) -> bool | None:
    """
    Whether a selector means a process; None if only the run can tell (it names the workflow around it, too).
    """
    negated = pattern.startswith("!")
    text = pattern.removeprefix("!")
    try:
        found = any(re.fullmatch(text, name) for name in names)
        maybe = ":" in text and any(
            re.fullmatch(part.rpartition(":")[2].rstrip(")") or ".*", n)
            for part in text.split("|")
            for n in names
        )
    except re.error:
        return None
    if maybe and not found:
        return None
    return found is not negated


def _processes(source: Source) -> Iterator[_Process]:
    tokens = source.tokens
    for i, token in enumerate(tokens[:-2]):
        if (
            token.kind == "name"
            and token.text == "process"
            and tokens[i + 1].kind in {"name", "string"}
            and tokens[i + 2].is_op("{")
        ):
            yield _process(
                source, str(tokens[i + 1].value or tokens[i + 1].text), i + 3, source.partner[i + 2]
            )


def _process(source: Source, name: str, first: int, last: int) -> _Process:
    """Directives from one word to before another."""
    found, tokens, at = _Process(name), source.tokens, first
    while at < last:
        token = tokens[at]
        if token.kind == "name" and token.text in _PARTS and at + 1 < last and tokens[at + 1].is_op(":"):
            break
        end = at
        while end < last and tokens[end].kind != "newline" and not tokens[end].is_op(";"):
            end = source.partner.get(end, end) + 1
            while end < last and tokens[end].kind == "newline" and tokens[end - 1].is_op(","):
                end += 1
        begin, close = at + 1, end
        if begin < close and tokens[begin].is_op("(") and source.partner.get(begin) == close - 1:
            begin, close = begin + 1, close - 1
        if token.kind == "name" and begin < close:
            if token.text == "label" and tokens[begin].kind == "string":
                found.labels.append(str(tokens[begin].value))
            elif token.text in ASKED:
                found.directives[token.text] = (value(source, begin, close), source.where(token))
            elif token.text == _LIMITS:
                found.directives[_LIMITS] = (_mapping(source, begin, close), source.where(token))
        at = end + 1
    return found


def _mapping(source: Source, first: int, last: int) -> Value:
    """``cpus: 4, memory: '2 GB'``, with or without brackets."""
    found: dict[str, Any] = {}
    for i in range(first, last - 2):
        if source.tokens[i].text in ASKED and source.tokens[i + 1].is_op(":"):
            end = next((j for j in range(i + 2, last) if source.tokens[j].is_op(",", "]")), last)
            one = value(source, i + 2, end)
            if one.kind == "literal":
                found[source.tokens[i].text] = one.data
    return Value("literal", found, "")
