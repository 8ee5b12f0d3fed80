"""An answer of ``far.sh``: what stands between two lines with the nonce of its question."""

from __future__ import annotations

import re
from typing import Protocol

#: Bytes that a shell's start-up files may print before it.
_JUNK = 65_536
#: A folder there: of characters that need no quoting anywhere.
_BASE = re.compile(r"/[A-Za-z0-9_./@+-]{0,1023}")
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,255}")


class Source(Protocol):
    """Where bytes come from."""

    def read(self, count: int = ..., /) -> bytes:
        """At most so many; empty at the end."""


class NoAnswerError(Exception):
    """What came is no answer; `text` is what came in its place."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text


class CutOffError(Exception):
    """An answer has begun and not ended."""


class Answer:
    """
    The content of one answer, a stream of bytes.

    Parameters
    ----------
    source : Source
    nonce : str
    limit : int
        Bytes after which no more is taken.

    Attributes
    ----------
    host, base : str
        Who answers, and the absolute path of the folder of pieces there.

    Raises
    ------
    NoAnswerError
    """

    def __init__(self, source: Source, nonce: str, limit: int) -> None:
        self._source, self._left = source, limit
        self._end = f"\nesap-wf-end {nonce}\n".encode()
        self._buffer, self._ended = b"", False
        begin = f"\nesap-wf-far {nonce} ".encode()
        while (at := self._buffer.find(begin)) < 0 or b"\n" not in self._buffer[at + len(begin) :]:
            data = source.read()
            if not data or len(self._buffer) > _JUNK:
                raise NoAnswerError(self._buffer[:2000].decode(errors="replace"))
            self._buffer += data
        line, _, self._buffer = self._buffer[at + len(begin) :].partition(b"\n")
        self.host, _, self.base = line.decode(errors="replace").partition(" ")
        if not _HOST.fullmatch(self.host):
            self.host = "?"

    @property
    def strange_base(self) -> bool:
        """Whether the folder of pieces has a path that can't be written everywhere as it is."""
        return not _BASE.fullmatch(self.base) or "/../" in f"{self.base}/"

    def read(self, count: int = -1) -> bytes:
        """
        The next bytes of its content; fewer than `count`, or all if that is negative, only at its end.

        Raises
        ------
        CutOffError
            It ended without its last line.
        OverflowError
            There is more than was to be expected.
        """
        wanted = count if count >= 0 else 1 << 62
        pieces, there = [self._buffer], len(self._buffer)
        # the last line is held back until it is known not to be content
        while not self._ended and there < wanted + len(self._end):
            data = self._source.read()
            self._ended = not data
            pieces.append(data)
            there += len(data)
            self._left -= len(data)
            if self._left < 0:
                raise OverflowError
        self._buffer = b"".join(pieces)
        if not self._ended:
            given, self._buffer = self._buffer[:wanted], self._buffer[wanted:]
            return given
        if not self._buffer.endswith(self._end):
            raise CutOffError
        content = self._buffer[: -len(self._end)]
        given = content[:wanted]
        self._buffer = self._buffer[len(given) :]
        return given

    def line(self) -> str:
        """The next line of its content, without its end."""
        found = b""
        while (byte := self.read(1)) and byte != b"\n" and len(found) < 4096:
            found += byte
        return found.decode(errors="replace")

    def lines(self) -> list[str]:
        """What is left of its content, as lines; signs of life are none."""
        text = self.read().decode(errors="replace")
        return [line for line in text.split("\n") if line and line != "beat"]
