#!/usr/bin/env python3
"""
Brings inputs of a run that lie elsewhere: ``python3 stage.py [FOLDER]``. Needs Python 3.6, nothing else.

``stage.json`` beside this program says what lies where; FOLDER, by default that of this program, gets what is
missing of it. What is there stays. Nothing has a name before it is whole and has the size and the checksums
that were promised; what breaks off goes on from there, also when this program is started anew.

A server that needs a token gets the one in the variable that a problem names: ``ESAP_WF_TOKEN_…``. A way into
the web through a proxy is taken from the environment (``https_proxy``).

Status: 0, all is there; 1, something is missing, with a line on stderr for each; 2, the call is wrong.
"""

import calendar
import fcntl
import hashlib
import http.client
import json
import os
import re
import ssl
import stat
import sys
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import IO, Any, Dict, Iterator, List, Optional, Tuple
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

Entry = Dict[str, Any]
LISTING = "stage.json"
#: Seconds without a byte; pauses between tries that have brought nothing, and the longest one.
TIMEOUT, PAUSES, LONGEST = 60.0, (1.0, 3.0, 10.0, 30.0), 300.0
#: Bytes of a file whose size nobody says, and of what is read at a time.
MOST, CHUNK = 100 * 10**9, 1 << 18
HOPS, REDIRECTS, LATER = 10, (301, 302, 303, 307, 308), (408, 425, 429, 500, 502, 503, 504)


class ProblemError(Exception):
    """A file can't be had; trying again is of no use."""


class LaterError(Exception):
    """Trying again may be of use, after so many seconds if the server says so."""

    def __init__(self, what: str, seconds: float = 0.0) -> None:
        Exception.__init__(self, what)
        self.seconds = seconds


def main(words: List[str]) -> int:
    """The program."""
    own = os.path.dirname(os.path.abspath(__file__))
    if len(words) > 1 or any(word.startswith("-") for word in words):
        say("usage: python3 stage.py [FOLDER]")
        return 2
    folder = words[0] if words else own
    try:
        with open(os.path.join(own, LISTING), encoding="utf-8") as file:
            entries = json.load(file)["files"]
        lock = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError, KeyError, TypeError) as error:
        say("stage.py: {}".format(error))
        return 2
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks: who starts two of this at a time fetches twice
    problems = 0
    try:
        for entry in entries:
            for path, why in bring(entry, folder):
                say("{}: {}".format(path, why))
                problems += 1
    finally:
        os.close(lock)
    return 1 if problems else 0


def say(text: str) -> None:
    """One line: what a server says stays text."""
    sys.stderr.write("".join(c if c.isprintable() else "?" for c in text) + "\n")
    sys.stderr.flush()


# --- one entry: a file, or a folder with files


def bring(entry: Entry, folder: str) -> Iterator[Tuple[str, str]]:
    """Bring what is missing of an entry; gives what is in the way, with the path of it."""
    try:
        target = place(folder, entry["path"])
        if entry["folder"]:
            yield from bring_folder(entry, target)
        elif os.path.lexists(target):
            confirm_same(entry, target)
        else:
            bring_file(entry, target)
    except ProblemError as problem:
        yield entry["path"], str(problem)
    except OSError as error:
        yield entry["path"], error.strerror or str(error)


def place(folder: str, path: str) -> str:
    """Where a path leads, if that is in the folder; the folder of it is made."""
    target = os.path.join(folder, path)
    parent, root = os.path.realpath(os.path.dirname(target)), os.path.realpath(folder)
    if any(part in ("", ".", "..") for part in path.split("/")) or (parent + "/").find(root + "/") != 0:
        raise ProblemError("leads out of the folder")
    os.makedirs(parent, exist_ok=True)
    return target


def bring_folder(entry: Entry, target: str) -> Iterator[Tuple[str, str]]:
    """A folder gets its name when it is whole; of one that is there what is missing."""
    if not entry["known"]:
        raise ProblemError(unknown(entry))
    work = target if os.path.isdir(target) else beside(target)
    os.makedirs(work, exist_ok=True)
    problems = 0
    for inner in entry["files"]:
        for path, why in bring(inner, work):
            problems += 1
            yield entry["path"] + "/" + path, why
    if work != target and not problems:
        os.rename(work, target)


def confirm_same(entry: Entry, target: str) -> None:
    """That a file which is there can be the one that is meant."""
    about = os.stat(target)
    if not stat.S_ISREG(about.st_mode):
        raise ProblemError("there is something that is no file: remove it, and start again")
    if entry["bytes"] is not None and about.st_size != entry["bytes"]:
        what = "has {} bytes, but {} were promised: remove it, and start again"
        raise ProblemError(what.format(about.st_size, entry["bytes"]))


def bring_file(entry: Entry, target: str) -> None:
    """From the first of its addresses that serves."""
    found = []
    for url in entry["urls"]:
        try:
            return bring_from(url, entry, target)
        except ProblemError as problem:
            found.append(str(problem))
    raise ProblemError("; ".join(found) or unknown(entry))


def unknown(entry: Entry) -> str:
    """Of what has no address by which it can be read without esap-wf."""
    return "{} has no address that can be read from here: esap-wf resume brings it".format(entry["uri"])


def bring_from(url: str, entry: Entry, target: str) -> None:
    """Once, and once more from the start if it is not what was promised."""
    part = beside(target)
    wrong = ""
    for _ in range(2):
        modified = copy(url, entry, part) if url.startswith("file:") else download(url, entry, part)
        wrong = wrong_of(entry, part)
        if not wrong:
            seconds = modified if entry["modified"] is None else entry["modified"]
            if seconds is not None:
                os.utime(part, (time.time(), seconds))
            os.chmod(part, 0o444)
            os.rename(part, target)
            return
        os.unlink(part)
    raise ProblemError("what came from {} is not what was promised, twice: {}".format(where(url), wrong))


def beside(target: str) -> str:
    """Where something is put together; its name is never too long for a file system."""
    digest = hashlib.sha256(os.path.basename(target).encode("utf-8", "surrogateescape")).hexdigest()
    return os.path.join(os.path.dirname(target), ".{}.part".format(digest[:16]))


def where(url: str) -> str:
    """Who serves an address."""
    return urlsplit(url).hostname or unquote(urlsplit(url).path)


def wrong_of(entry: Entry, part: str) -> str:
    """What is wrong with a file that has come; empty if nothing is."""
    size, adler, sums = 0, 1, {}  # type: Tuple[int, int, Dict[str, Any]]
    for kind in entry["checksums"]:
        if kind in ("sha256", "md5"):
            try:
                sums[kind] = hashlib.new(kind)
            except ValueError:
                raise ProblemError("{} can't be made by this Python".format(kind)) from None
    with open(part, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            size += len(chunk)
            for made in sums.values():
                made.update(chunk)
            if "adler32" in entry["checksums"]:
                adler = zlib.adler32(chunk, adler)
        os.fsync(file.fileno())
    found = {kind: made.hexdigest() for kind, made in sums.items()}
    found["adler32"] = "{:08x}".format(adler & 0xFFFFFFFF)
    if entry["bytes"] is not None and size != entry["bytes"]:
        return "it has {} bytes, but {} were promised".format(size, entry["bytes"])
    for kind, promised in sorted(entry["checksums"].items()):
        if kind in found and found[kind] != promised.lower():
            return "its {} is {}, but {} was promised".format(kind, found[kind], promised)
    return ""


def copy(url: str, entry: Entry, part: str) -> Optional[float]:
    """A file of this machine, and when it was written."""
    path, most = unquote(urlsplit(url).path), MOST if entry["bytes"] is None else entry["bytes"]
    try:
        source = open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK))
    except OSError as error:
        raise ProblemError("{}: {}; esap-wf resume may know more".format(path, error.strerror)) from None
    with source, open(part, "wb") as target:
        about, size = os.fstat(source.fileno()), 0
        if not stat.S_ISREG(about.st_mode):
            raise ProblemError("{} is no file".format(path))
        for chunk in iter(lambda: source.read(CHUNK), b""):
            target.write(chunk)
            size += len(chunk)
            if size > most:
                break
    return about.st_mtime


# --- over the web


class NoRedirect(HTTPRedirectHandler):
    """Redirects are followed here, one by one."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never."""


def download(url: str, entry: Entry, part: str) -> Optional[float]:
    """A file at an address, with pauses; gives no time, the listing has that."""
    tries, best, mark = 0, 0, ""
    while True:
        start = os.path.getsize(part) if os.path.exists(part) else 0
        if start and entry["bytes"] is not None and start > entry["bytes"]:
            start = 0
        if start and not (mark or entry["checksums"]):
            start = 0  # nothing would say that two halves are of one file
        if start and start == entry["bytes"]:
            return None
        try:
            with ask(url, entry, start, mark) as answer:
                mark = answer.headers.get("ETag", "")
                mark = mark if mark.startswith('"') else ""
                append(answer, entry, part, start, url)
            return None
        except LaterError as error:
            size = os.path.getsize(part) if os.path.exists(part) else 0
            best, tries = max(best, size), 1 if size > best else tries + 1
            if tries > len(PAUSES):
                raise ProblemError(str(error)) from None
            time.sleep(min(max(PAUSES[tries - 1], error.seconds), LONGEST))


def ask(url: str, entry: Entry, start: int, mark: str) -> Any:
    """The answer to a question, after all redirects."""
    opener, first, same = build_opener(NoRedirect()), urlsplit(url), True
    headers = {"User-Agent": "esap-wf-stage", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = "bytes={}-".format(start)
        if mark:
            headers["If-Range"] = mark
    variable = entry["tokens"].get(url, "")
    for _ in range(HOPS + 1):
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or (first.scheme, parts.scheme) == ("https", "http"):
            raise ProblemError(
                "{} leads to {}://, which is not followed".format(first.hostname, parts.scheme)
            )
        same = same and (parts.scheme, parts.netloc) == (first.scheme, first.netloc)
        try:
            request = Request(url, headers=headers)
            if variable and same:
                # a server elsewhere that leads back could choose what is read with this token
                request.add_unredirected_header("Authorization", "Bearer " + token(variable))
            return opener.open(request, timeout=TIMEOUT)
        except HTTPError as error:
            error.close()
            if error.code not in REDIRECTS or not error.headers.get("Location"):
                raise refusal(error, variable, where(url)) from None
            url = urljoin(url, error.headers["Location"])
        except ssl.CertificateError as error:
            raise ProblemError("{}: {}".format(where(url), error)) from None
        except URLError as error:
            if isinstance(error.reason, ssl.SSLError):
                raise ProblemError("{}: {}".format(where(url), error.reason)) from None
            raise LaterError("{}: {}".format(where(url), error.reason)) from None
        except (http.client.InvalidURL, ValueError) as error:
            raise ProblemError("{}: {}".format(first.hostname, error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise LaterError("{}: {}".format(where(url), error)) from None
    raise ProblemError("{} leads on and on".format(first.hostname))


def token(variable: str) -> str:
    """Of the environment."""
    text = os.environ.get(variable, "").strip()
    if not text:
        raise ProblemError("needs a token: put it into the variable {}".format(variable))
    if not re.match(r"[\x21-\x7e]+\Z", text):
        raise ProblemError("the token in {} has spaces or line ends in it".format(variable))
    return text


def refusal(error: HTTPError, variable: str, host: str) -> Exception:
    """What an answer means that isn't the wanted one."""
    said = "{} answers {} {}".format(host, error.code, str(error.reason)[:80])
    if error.code in LATER:
        pause = error.headers.get("Retry-After", "")
        return LaterError(said, float(pause) if re.match(r"[0-9]{1,6}\Z", pause) else 0.0)
    if error.code == 416:
        return LaterError(said)
    if error.code in (401, 403) and variable:
        said += ": is the token in {} too old?".format(variable)
    return ProblemError(said)


def append(answer: Any, entry: Entry, part: str, start: int, url: str) -> None:
    """The bytes of an answer behind those that are there, or in their place."""
    if answer.status == 206:
        span = re.match(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)\Z", answer.headers.get("Content-Range", ""))
        if not start or not span or int(span.group(1)) != start:
            raise ProblemError("{} gives another part than it was asked for".format(where(url)))
    elif answer.status != 200:
        raise ProblemError("{} answers {}".format(where(url), answer.status))
    else:
        start = 0
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError("{} gives it in an encoding that it was not asked for".format(where(url)))
    if entry["version"] and version(answer) != entry["version"]:
        what = "{} has changed it: it is of {}, and was of {} when the run was planned"
        raise ProblemError(what.format(where(url), version(answer) or "no known time", entry["version"]))
    length = answer.headers.get("Content-Length", "")
    whole = start + int(length) if re.match(r"[0-9]{1,18}\Z", length) else None
    most = MOST if entry["bytes"] is None else entry["bytes"]
    if (whole or 0) > most:
        raise ProblemError("{} has {} bytes of it, and at most {} are taken".format(where(url), whole, most))
    with open(part, "r+b" if start else "wb") as file:
        file.seek(start)
        for chunk in chunks(answer, url):
            start += len(chunk)
            if start > most:
                raise ProblemError("{} sends more than {} bytes".format(where(url), most))
            file.write(chunk)
    wanted = whole if entry["bytes"] is None else entry["bytes"]
    if wanted is not None and start < wanted:
        raise LaterError("{} has sent {} of {} bytes".format(where(url), start, wanted))


def chunks(answer: IO[bytes], url: str) -> Iterator[bytes]:
    """What comes, until it ends."""
    while True:
        try:
            chunk = answer.read(CHUNK)
        except http.client.IncompleteRead as error:
            yield error.partial
            raise LaterError("{} breaks off".format(where(url))) from None
        except (OSError, http.client.HTTPException) as error:
            raise LaterError("{}: {}".format(where(url), error)) from None
        if not chunk:
            return
        yield chunk


def version(answer: Any) -> str:
    """What a server says by which a file is known again: its time, else its mark."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
        if moment is not None:
            seconds = calendar.timegm(moment.utctimetuple())  # without a zone it is UTC
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (ValueError, TypeError, OverflowError, IndexError):
        pass
    return str(answer.headers.get("ETag", ""))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
