"""A proxy in front of an S3 server: passes requests on, remembers them, and does to some what a bad day does to them."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tests.stores.s3_servers import Server

REGISTERED = http.client.responses
P = TypeVar("P", bound="Proxy")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a request. Without anything set it is passed on."""

    status: int = 0
    """Answered by the proxy, with an error document as S3's."""
    code: str = ""
    body: bytes | None = None
    """In the error document's place."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the answer, in the place of the server's own."""
    delay: float = 0.0
    """Seconds before anything is answered."""
    reset: bool = False
    """The connection is reset, and nothing passed on."""
    lost: bool = False
    """The server does what it was asked, and the connection is reset before it has said so."""
    cut: bool = False
    """The connection ends after half of the body of the answer."""
    damaged: bool = False
    """The first byte of the answer's body is another one."""
    damaged_request: bool = False
    """The first byte of the request's body is another one."""
    late: Callable[[], object] | None = None
    """Is done before anything is answered."""

    @property
    def document(self) -> bytes:
        """The error document, with what it may say of the request, secrets among it."""
        if self.body is not None:
            return self.body
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{self.code}</Code><Message>{self.code} it is.</Message>'
            "<AWSAccessKeyId>the-key-id</AWSAccessKeyId><StringToSign>the-string-to-sign</StringToSign></Error>"
        ).encode()


@dataclass(frozen=True)
class Rule:
    """For which requests, and how often, a fault is laid down."""

    method: str
    path: re.Pattern[str]
    fault: Fault
    times: int


class Proxy:
    """Where clients connect to; ``asked`` says which requests came, as ``PUT /bucket/key``."""

    def __init__(self, upstream: Server, port: int) -> None:
        self.server = replace(upstream, url=f"http://127.0.0.1:{port}")
        """The server as it is reached through the proxy."""
        self.upstream = upstream
        self.asked: list[str] = []
        self.rules: list[Rule] = []
        self.lock = threading.Lock()

    def lay(self, method: str, path: str, fault: Fault, *, times: int = 1_000_000) -> None:
        """Do that to requests whose method and path (with its query) match both patterns from their start."""
        self.rules.append(Rule(method, re.compile(path), fault, times))

    def reset(self) -> None:
        """Forget all faults and requests."""
        self.asked.clear()
        self.rules.clear()

    def fault(self, method: str, path: str) -> Fault:
        """Note a request; return what happens to it."""
        with self.lock:
            self.asked.append(f"{method} {path}")
            for number, rule in enumerate(self.rules):
                if rule.times and re.match(rule.method, method) and rule.path.match(path):
                    self.rules[number] = replace(rule, times=rule.times - 1)
                    return rule.fault
        return Fault()


def proxied(upstream: Server) -> AbstractContextManager[Proxy]:
    """Put a proxy in front of a server, on a free port of loopback."""
    return proxied_by(Proxy, upstream)


@contextmanager
def proxied_by(kind: type[P], upstream: Server) -> Iterator[P]:
    """Put a proxy of that kind in front of a server."""
    listener = _Listener(("127.0.0.1", 0), BaseHTTPRequestHandler)
    proxy = kind(upstream, listener.server_port)

    class Handler(_Handler):
        pass

    Handler.proxy = proxy
    listener.RequestHandlerClass = Handler
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _damaged(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that was killed has reset its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def _handle(self) -> None:
        self.path = self.path.removeprefix(self.proxy.upstream.url)  # a client that was told of a proxy names it whole
        fault = self.proxy.fault(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(fault.delay)
        if fault.late:
            fault.late()
        with suppress(ConnectionError):  # a client that ran out of patience
            if fault.reset:
                self._reset()
            elif fault.status:
                headers = {"Content-Type": "application/xml", "x-amz-request-id": "R", **fault.headers}
                self._answer(fault.status, headers, fault.document, fault)
            else:
                status, answer_headers, answer = self._passed_on(_damaged(body) if fault.damaged_request else body)
                if fault.lost:
                    self._reset()
                else:
                    self._answer(status, {**answer_headers, **fault.headers}, answer, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the base class's names

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(urlsplit(self.proxy.upstream.url).netloc, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"expect", "connection"}}
        try:
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault) -> None:
        self.send_response_only(status, REGISTERED.get(status, "?"))
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        kept = {name: value for name, value in headers.items() if name.lower() not in {"connection", "content-length"}}
        for name, value in {**kept, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        body = _damaged(body) if fault.damaged else body
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if fault.cut else body)
        self.close_connection = self.close_connection or fault.cut

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
