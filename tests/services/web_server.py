"""A real HTTP server on loopback that answers what a test has laid down, and remembers what it was asked."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HTML = "text/html; charset=utf-8"
JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server answers to a request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Whether the connection breaks off after half of the body."""
    delay: float = 0.0
    """Seconds before it answers."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    """With lower-case names."""
    status: int


class WebServer:
    """Answers ``replies[path]``; of a list each reply once, the last one for ever; 404 for all other paths."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_port
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.replies: dict[str, Reply | Sequence[Reply]] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.lock = threading.Lock()

    def statuses(self) -> list[int]:
        """What was answered, sorted: threads ask in any order."""
        return sorted(asked.status for asked in self.asked)

    def reply_to(self, path: str, headers: Mapping[str, str]) -> Reply:
        with self.lock:
            laid = self.replies.get(path, Reply(status=404))
            if not isinstance(laid, Reply):
                reply, *rest = laid
                self.replies[path] = rest or reply
            else:
                reply = laid
            for validator, condition in (("ETag", "if-none-match"), ("Last-Modified", "if-modified-since")):
                if reply.headers.get(validator, "") == headers.get(condition):
                    reply = Reply(status=304)
            self.asked.append(Asked(path=path, headers=headers, status=reply.status))
        return reply


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Start a server on a free port of loopback, and stop it at the end."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    web = WebServer(listener)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with web.lock:
                web.connections += 1

        def do_GET(self) -> None:
            reply = web.reply_to(self.path, {name.lower(): value for name, value in self.headers.items()})
            time.sleep(reply.delay)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.close_connection = reply.cut
            with suppress(ConnectionError):  # a client that ran out of patience
                self.end_headers()
                self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    listener.RequestHandlerClass = Handler
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield web
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
