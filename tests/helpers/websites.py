"""A server of files on this machine, which breaks off, redirects and lies as a test wants it to."""

from __future__ import annotations

import re
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


@dataclass
class Question:
    """What was asked of a server."""

    method: str
    path: str
    headers: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    """One connection; what is answered stands in the server's `pages`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        site = self.server.site
        headers = {name.lower(): value for name, value in self.headers.items()}
        site.asked.append(Question(self.command, self.path, headers))
        site.pages.get(self.path.partition("?")[0], status(404))(self)

    do_GET = do_HEAD = _answer

    def do_CONNECT(self) -> None:
        """As a proxy: every name leads to the server `behind`."""
        site = self.server.site
        site.asked.append(Question("CONNECT", self.path, {k.lower(): v for k, v in self.headers.items()}))
        if site.behind is None:
            send(self, 403)
            return
        with socket.create_connection(("127.0.0.1", site.behind)) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while True:
                for end in select.select(list(ends), [], [], 10)[0] or ends:
                    data = end.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    ends[end].sendall(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Knows its site; a client that goes away is no error."""

    daemon_threads = True
    site: Site

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing."""


Page = Callable[[Handler], None]


@dataclass
class Site:
    """
    A running server.

    Parameters
    ----------
    certificate : Path, optional
        With its key; then the server speaks TLS.
    address : str
        Where it listens.
    """

    certificate: Path | None = None
    address: str = "127.0.0.1"
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)
    behind: int | None = None

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        kind = type("There", (Server,), {"address_family": family})
        self._server: Server = kind((self.address, 0), Handler)
        self._server.site = self
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def hosts(self) -> tuple[str, ...]:
        """This server, as a profile allows it."""
        return f"localhost:{self.port}", f"127.0.0.1:{self.port}"

    def url(self, path: str, host: str = "localhost") -> str:
        return f"{'http' if self.certificate is None else 'https'}://{host}:{self.port}{path}"


def send(handler: Handler, code: int, body: bytes = b"", **headers: str) -> None:
    """A whole answer; ``Content_Range`` stands for ``Content-Range``."""
    handler.send_response(code)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def status(code: int, **headers: str) -> Page:
    """Always this answer."""
    return lambda handler: send(handler, code, b"no\n", **headers)


def leads_to(address: str, code: int = 302) -> Page:
    """A redirect."""
    return status(code, Location=address)


@dataclass
class File:
    """
    A file on a server.

    Parameters
    ----------
    data : bytes
    headers : dict
        Of each answer.
    ranges : bool
        Whether it can be read from the middle on.
    head : int
        The status that ``HEAD`` is answered with.
    breaks : list of int
        After so many bytes of the body the connection breaks, once for each.
    """

    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    head: int = 200
    breaks: list[int] = field(default_factory=list)

    def __call__(self, handler: Handler) -> None:
        headers, body, code = dict(self.headers), self.data, 200
        if handler.command == "HEAD" and self.head != 200:
            send(handler, self.head)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        condition = handler.headers.get("If-Range")
        if asked and self.ranges and condition in (None, headers.get("ETag")):
            first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
            if first >= len(body):
                send(handler, 416, b"", Content_Range=f"bytes */{len(body)}")
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, code = body[first : last + 1], 206
        if self.breaks and handler.command == "GET":
            headers["Content-Length"] = str(len(body))
            body = body[: self.breaks.pop(0)]
            handler.close_connection = True
        send(handler, code, body, **{name.replace("-", "_"): value for name, value in headers.items()})


def certificate(folder: Path, *names: str) -> Path:
    """A certificate for names, which vouches for itself, and its key, in one file."""
    made = folder / f"{names[0]}.pem"
    key = folder / f"{names[0]}.key"
    options = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    alternatives = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        ["openssl", *options, "-addext", alternatives, "-keyout", key, "-out", made],
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made
