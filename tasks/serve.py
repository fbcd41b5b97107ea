"""Shows an index over HTTP, on loopback, to try it with real installers: content negotiation as PEP 691 asks for it."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

from packaging.utils import canonicalize_name

from tasks.console import emit_json
from tasks.core.errors import ServiceFailed
from tasks.core.index import HTML_TYPE, JSON_TYPE, LIST_PATH
from tasks.core.negotiation import OFFERED, PLAIN_HTML, negotiate
from tasks.core.storage import Kind

if TYPE_CHECKING:
    from typing import BinaryIO

    from tasks.console import Console
    from tasks.stores import Store

HOST = "127.0.0.1"
PORT = 8000

ROOTS = ("simple", "json")
"""Two roots of the Simple API: one negotiates, as PEP 691 says; the other is JSON whatever is asked for, which a static
host can serve, too."""

_CHUNK = 1 << 20  # bytes
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_TYPES = {
    ".whl": Kind.WHEEL.content_type,
    ".metadata": Kind.METADATA.content_type,
    ".gz": Kind.LOG.content_type,
    ".html": Kind.PAGE.content_type,
    ".json": "application/json",
    ".provenance": Kind.PROVENANCE.content_type,
}


def serve(store: Store, port: int | None, out: Console, *, as_json: bool = False) -> int:
    """Serve the index until interrupted; return the exit code. The port defaults to 8000, or a free one."""
    with _bind(store, port, out) as server:
        address = f"http://{HOST}:{server.server_port}"
        try:
            if store.head(LIST_PATH) is None:
                out.warn(f"{store.location} is empty: publish something first")
            out.info(f"{store.location} is at {address}/ ; Ctrl-C ends it")
            out.info(f"pip install --index-url {address}/simple/ NAME")
            if as_json:
                emit_json({"index": store.location, "url": f"{address}/simple/"})
                sys.stdout.flush()
            server.serve_forever()
        except KeyboardInterrupt:
            out.info("stopped")
    return 0


class Server(ThreadingHTTPServer):
    """Serves one store; requests run side by side."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, store: Store, out: Console) -> None:
        self.store = store
        self.out = out
        super().__init__((HOST, port), Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called, which the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Say in one line that a connection broke; the base class prints a traceback."""
        del request
        self.out.detail(f"the connection from {client_address} broke: {sys.exception()}")


def _bind(store: Store, port: int | None, out: Console) -> Server:
    try:
        return Server(PORT if port is None else port, store, out)
    except OSError as error:
        if port is None:
            return Server(0, store, out)
        raise ServiceFailed(f"port {port} cannot be served: {error.strerror}; name another with --port") from error


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "spare-tire"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer with headers and body."""
        try:
            self._answer()
        except ConnectionError:  # the client has gone
            self.close_connection = True
        except (ServiceFailed, OSError) as error:
            self.server.out.error(str(error))
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the index cannot be read")

    def do_HEAD(self) -> None:
        """Answer with headers."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it
        """Log where every message of a stage goes."""
        self.server.out.detail(format % args)

    def _answer(self) -> None:
        url = urlsplit(self.path)
        try:
            path = unquote(url.path, errors="strict").removeprefix("/")
        except UnicodeDecodeError:
            self._refuse(HTTPStatus.NOT_FOUND, "not found")
            return
        parts = path.split("/")
        if parts[0] in ROOTS and parts[2:] in ([], [""]) and parts[-1] not in {"index.html", "index.json"}:
            self._simple(parts[0], parts[1:], url.query)
        elif path in {"", "index.html"}:
            self._file("index.html")
        elif parts[0] == "pypi" and len(parts) > 1 and parts[1] != canonicalize_name(parts[1]):
            self._redirect(quote("/".join(["/pypi", canonicalize_name(parts[1]), *parts[2:]])))
        elif parts[0] == "pypi":
            self._file(path, Kind.RELEASE.content_type)
        else:
            self._file(path)

    def _simple(self, root: str, parts: list[str], query: str) -> None:
        """Answer ``/simple/`` or ``/simple/<project>/`` in the form that the client prefers, ``/json/…`` in JSON."""
        name = canonicalize_name(parts[0]) if parts else ""
        wanted = "".join(f"/{part}" for part in (root, *([name] if name else []))) + "/"
        asked = "/".join([f"/{root}", *parts]) if parts else f"/{root}"
        if asked != wanted:  # PEP 503: names are normalised, and URLs end with a slash
            self._redirect(quote(wanted) + (f"?{query}" if query else ""))
            return
        if root == "json":
            self._file(f"simple{wanted.removeprefix('/json')}index.json", JSON_TYPE)
            return
        requested = parse_qs(query, keep_blank_values=True).get("format", [None])[0]
        chosen = negotiate(",".join(self.headers.get_all("Accept", [])), requested)
        if chosen is None:
            self._refuse(HTTPStatus.NOT_ACCEPTABLE, f"this page is served as {', '.join(OFFERED)}")
            return
        form = "json" if chosen == JSON_TYPE else "html"
        content_type = f"{chosen}; charset=utf-8" if chosen in {HTML_TYPE, PLAIN_HTML} else chosen
        self._file(f"{wanted[1:]}index.{form}", content_type, vary=True)

    def _file(self, path: str, content_type: str | None = None, *, vary: bool = False) -> None:
        try:
            with self.server.store.open(path) as file:
                if file is None:
                    self._refuse(HTTPStatus.NOT_FOUND, "not found", vary=vary)
                    return
                suffix = PurePosixPath(path).suffix
                self._send(file, content_type or _TYPES.get(suffix, "application/octet-stream"), vary=vary)
        except ValueError:  # no path of an index: hidden, or leading out of it
            self._refuse(HTTPStatus.NOT_FOUND, "not found")

    def _send(self, file: BinaryIO, content_type: str, *, vary: bool) -> None:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        size = file.tell()
        digest.update(content_type.encode())  # the same bytes under two types are two things to a cache
        tag = f'"{digest.hexdigest()[:32]}"'
        known = [one.strip().removeprefix("W/") for one in self.headers.get("If-None-Match", "").split(",")]
        if tag in known or "*" in known:
            self._head(HTTPStatus.NOT_MODIFIED, vary=vary, tag=tag)
            return
        start, stop = 0, size
        if wanted := self._range(tag):
            start, stop = _span(wanted, size)
            if start >= stop:
                self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, ("Content-Range", f"bytes */{size}"), length=0)
                return
        part = [("Content-Range", f"bytes {start}-{stop - 1}/{size}")] if wanted else []
        status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
        headers = [("Content-Type", content_type), ("Accept-Ranges", "bytes"), *part]
        self._head(status, *headers, length=stop - start, vary=vary, tag=tag)
        if self.command == "HEAD":
            return
        file.seek(start)
        if wanted:
            self._copy(file, stop - start)
        else:
            shutil.copyfileobj(file, self.wfile)

    def _range(self, tag: str) -> re.Match[str] | None:
        """Return the one range that is asked for; several, or one of another version, are answered by the whole."""
        if self.headers.get("If-Range", tag) != tag:
            return None
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        return found if found and (found[1] or found[2]) else None

    def _copy(self, file: BinaryIO, left: int) -> None:
        while left > 0 and (chunk := file.read(min(left, 1 << 16))):
            self.wfile.write(chunk)
            left -= len(chunk)

    def _redirect(self, target: str) -> None:
        self._head(HTTPStatus.MOVED_PERMANENTLY, ("Location", target), length=0)

    def _refuse(self, status: HTTPStatus, message: str, *, vary: bool = False) -> None:
        body = f"{message}\n".encode()
        headers = ("Content-Type", "text/plain; charset=utf-8")
        self._head(status, headers, length=len(body), vary=vary or status is HTTPStatus.NOT_ACCEPTABLE)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(
        self,
        status: HTTPStatus,
        *headers: tuple[str, str],
        length: int | None = None,
        vary: bool = False,
        tag: str = "",
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if vary:  # PEP 691: caches must keep the forms apart
            self.send_header("Vary", "Accept")
        if tag:
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", "no-cache")
        self.end_headers()


def _span(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """Return the bytes of a range, the end exclusive; an empty span cannot be satisfied (RFC 9110 section 14.1.2)."""
    if not wanted[1]:
        return max(0, size - int(wanted[2])), size
    return int(wanted[1]), min(size, int(wanted[2]) + 1 if wanted[2] else size)
