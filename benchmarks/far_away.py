"""A server far away: passes requests on to one nearby, adds a fixed time to each, and counts them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class FarAway:
    """A running server: its address, and what it was asked."""

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path, as they came."""

    @property
    def writes(self) -> int:
        """How many requests would change something."""
        return sum(method not in {"GET", "HEAD"} for method, _ in self.requests)

    def count(self, *roots: str) -> int:
        """Return how many requests were for what lies in one of these folders of a bucket."""
        return sum(path.split("/")[2:3] in [[root] for root in roots] for _, path in self.requests)


@contextmanager
def far_away(answer: Callable[[str, str, Mapping[str, str], bytes], Answer], delay: float) -> Iterator[FarAway]:
    """Serve on loopback what ``answer`` gives for method, target, headers and body, ``delay`` seconds after that."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):  # whoever asked has gone
                super().handle_one_request()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given.requests.append((self.command, unquote(urlsplit(self.path).path)))
            found = answer(self.command, self.path, dict(self.headers.items()), body)
            time.sleep(delay)
            self.send_response_only(found.status)
            for name, value in found.headers.items():
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            length = found.headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - as http.server finds them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
            assert isinstance(request, socket.socket)  # noqa: S101 - it is no datagram
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().process_request(request, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        given = FarAway(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield given
        finally:
            server.shutdown()
            thread.join()


def passing_to(url: str) -> Callable[[str, str, Mapping[str, str], bytes], Answer]:
    """Return what asks another server, over one connection for each thread."""
    mine = threading.local()

    def ask(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        for last in (False, True):
            connection = getattr(mine, "connection", None) or HTTPConnection(urlsplit(url).netloc)
            mine.connection = connection
            try:
                sent = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
                connection.request(method, target, body, sent)
                found = connection.getresponse()
                return Answer(found.status, dict(found.getheaders()), found.read())
            except OSError:  # it was kept open for too long
                connection.close()
                mine.connection = None
                if last:
                    raise
        raise AssertionError

    return ask
