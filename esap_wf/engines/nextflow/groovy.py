"""Words of Groovy, as far as Nextflow's scripts and configuration need: texts, numbers, names, brackets, each
with its line.

Nothing is evaluated: what is no literal stays the text that it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from esap_wf.errors import Problem, UsageError

#: Strings in strings in strings.
_MAX_DEPTH = 40
_MAX_BRACKETS = 300
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NAME = re.compile(r"[^\W\d][\w$]*|\$(?=[^\W\d])[\w$]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F_]+[lLgGiI]?|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][-+]?\d+)?[lLfFdDgGiI]?")
_OPERATOR = re.compile(
    r"==~|<=>|\*\*=|\?\.|\?:|\*\.|&&|\|\||==|!=|<=|>=|=~|->|\+\+|--|\+=|-=|\*=|/=|::|\.\.<?|.", re.DOTALL
)
#: A text between slashes, and the signs after which a slash can't divide.
_SLASHY = re.compile(r"/(?:[^/\\\n]|\\.)+/")
_BEFORE_TEXT = tuple("(,=:[!&|?{~")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "s": " ", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Token:
    """
    A word.

    Parameters
    ----------
    kind : str
        ``name``, ``number``, ``string`` (nothing is put into it), ``template`` (``$`` puts something into
        it), ``op``, ``newline``.
    text : str
        As written; of strings what stands between the quotes.
    line, start, end : int
        Where, in the file.
    value : object
        Of numbers and strings.
    """

    kind: str
    text: str
    line: int
    start: int
    end: int
    value: Any = None

    def is_op(self, *texts: str) -> bool:
        """Whether it is one of these signs."""
        return self.kind == "op" and self.text in texts


class Source:
    """
    A file in words.

    Parameters
    ----------
    text, name : str
        Content, and what it is called in messages.

    Attributes
    ----------
    tokens : list of Token
    partner : dict of int to int
        Index of an opening bracket → that of the closing one.

    Raises
    ------
    UsageError
        A text, a comment or a bracket that has no end.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.tokens: list[Token] = []
        self.partner: dict[int, int] = {}
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._split()
        self._pair()

    def where(self, token: Token) -> str:
        """``file:line`` of a word."""
        return f"{self.name}:{token.line}"

    def between(self, first: int, last: int) -> str:
        """The text from one word to before another, comments included."""
        if first >= last:
            return ""
        return self.text[self.tokens[first].start : self.tokens[last - 1].end]

    def _line(self, position: int) -> int:
        import bisect

        return bisect.bisect_right(self._starts, position)

    def _broken(self, position: int, what: str) -> UsageError:
        return UsageError(
            f"{self.name} can't be read", [Problem(f"{self.name}:{self._line(position)}", what)]
        )

    def _add(self, kind: str, start: int, end: int, text: str | None = None, value: Any = None) -> int:
        shown = self.text[start:end] if text is None else text
        self.tokens.append(Token(kind, shown, self._line(start), start, end, value))
        return end

    def _split(self) -> None:
        """Fill `tokens`."""
        at = self._end_of_line(0) if self.text.startswith("#!") else 0
        while at < len(self.text):
            for part in (self._blank, self._quoted, self._word):
                if (end := part(at)) is not None:
                    at = end
                    break

    def _blank(self, at: int) -> int | None:
        """The end of a space, of a line or of a comment; None if there is none."""
        text, char = self.text, self.text[at]
        if char == "\n":
            return self._add("newline", at, at + 1)
        if text.startswith("\\\n", at):
            return at + 2
        if char.isspace():
            return at + 1
        if text.startswith("//", at):
            return self._end_of_line(at)
        if text.startswith("/*", at):
            end = text.find("*/", at + 2)
            if end < 0:
                raise self._broken(at, "the comment that begins here has no end")
            return end + 2
        return None

    def _quoted(self, at: int) -> int | None:
        """The end of a text between quotes, dollars or slashes; None if there is none."""
        text, char = self.text, self.text[at]
        if char in "\"'":
            return self._string(at)
        if char == "$" and text.startswith("$/", at) and (end := text.find("/$", at + 2)) > 0:
            return self._add("template", at, end + 2, text[at + 2 : end])
        if char == "/" and self._begins_text() and (slashy := _SLASHY.match(text, at)):
            return self._add("template", at, slashy.end(), slashy[0][1:-1])
        return None

    def _word(self, at: int) -> int:
        """The end of a number, a name or an operator."""
        if match := _NUMBER.match(self.text, at):
            return self._add("number", at, match.end(), value=_number(match[0]))
        if match := _NAME.match(self.text, at):
            return self._add("name", at, match.end())
        match = _OPERATOR.match(self.text, at)
        assert match is not None
        return self._add("op", at, match.end())

    def _end_of_line(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _begins_text(self) -> bool:
        """Whether a slash can't divide anything here."""
        last = self.tokens[-1] if self.tokens else None
        if last is None or last.kind == "newline":
            return False
        if last.kind == "op":
            return last.text not in {")", "]", "}"}
        return last.kind == "name" and last.text in {"return", "in", "case"}

    def _string(self, at: int) -> int:
        """A quoted text, from its first quote."""
        end = self._end_of_string(at, 0)
        quote = self.text[at : at + 3] if self.text[at : at + 3] in {'"""', "'''"} else self.text[at]
        raw = self.text[at + len(quote) : end - len(quote)]
        if quote[0] == '"' and re.search(r"(?<!\\)(?:\\\\)*\$[{A-Za-z_]", raw):
            return self._add("template", at, end, raw)
        return self._add("string", at, end, raw, _unescaped(raw))

    def _end_of_string(self, at: int, depth: int) -> int:
        """Behind the last quote of a text; texts may stand in the ``${…}`` of another one."""
        text = self.text
        if depth > _MAX_DEPTH:
            raise self._broken(at, "texts are nested too deeply")
        quote = text[at : at + 3] if text[at : at + 3] in {'"""', "'''"} else text[at]
        position = at + len(quote)
        while position < len(text):
            char = text[position]
            if char == "\\":
                position += 2
            elif text.startswith(quote, position):
                # """a"""" ends with the last three of four quotes
                while len(quote) == 3 and text.startswith(quote[0], position + 3):
                    position += 1
                return position + len(quote)
            elif char == "\n" and len(quote) == 1:
                break
            elif char == "$" and quote[0] == '"' and text.startswith("${", position):
                position = self._end_of_expression(position + 2, depth + 1)
            else:
                position += 1
        raise self._broken(at, f"the text that begins here with {quote} has no end")

    def _end_of_expression(self, at: int, depth: int) -> int:
        """Behind the brace that ends ``${``."""
        open_braces, position = 1, at
        while position < len(self.text):
            char = self.text[position]
            if char in "\"'":
                position = self._end_of_string(position, depth)
                continue
            if (
                char == "/"
                and (self.text[at:position].rstrip()[-1:] or "(") in _BEFORE_TEXT
                and (slashy := _SLASHY.match(self.text, position))
            ):
                position = slashy.end()
                continue
            open_braces += (char == "{") - (char == "}")
            position += 1
            if not open_braces:
                return position
        raise self._broken(at, "the ${ that begins here has no end")

    def _pair(self) -> None:
        """Fill `partner`."""
        stack: list[int] = []
        for i, token in enumerate(self.tokens):
            if token.kind != "op":
                continue
            if token.text in _CLOSING:
                stack.append(i)
                if len(stack) > _MAX_BRACKETS:
                    raise self._broken(token.start, "brackets are nested too deeply")
            elif token.text in _CLOSING.values():
                if not stack or _CLOSING[self.tokens[stack[-1]].text] != token.text:
                    seen = (
                        f"{self.tokens[stack[-1]].text} of line {self.tokens[stack[-1]].line} is open"
                        if stack
                        else "none is open"
                    )
                    raise self._broken(token.start, f"{token.text} closes nothing: {seen}")
                self.partner[stack.pop()] = i
        if stack:
            token = self.tokens[stack[-1]]
            raise self._broken(token.start, f"the {token.text} that opens here is never closed")


def _number(text: str) -> int | float:
    digits = text.replace("_", "")
    if digits[:2].lower() == "0x":
        return int(digits[2:].rstrip("lLgGiI") or "0", 16)
    digits = digits.rstrip("lLfFdDgGiI")
    if digits.isdigit() and digits.isascii() and len(digits) < 4000:
        return int(digits)
    return float(digits)


def _unescaped(raw: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code.startswith("u") and len(code) == 5:
            point = int(code[1:], 16)
            return chr(point) if not 0xD800 <= point < 0xE000 else "\ufffd"
        return "" if code == "\n" else _ESCAPES.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", character, raw, flags=re.DOTALL)
