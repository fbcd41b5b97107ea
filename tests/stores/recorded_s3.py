"""Moto's server behind a record of what it was asked."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.stores.s3_servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Moto's application behind one that notes each request when it is answered: method, path, range, status.
RECORDED = """
import sys, warnings
warnings.simplefilter("ignore")
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

log = open(sys.argv[1], "a", buffering=1)
app = DomainDispatcherApplication(create_backend_app)

def recorded(environ, start_response):
    def begin(status, headers, *more):
        ranged = environ.get("HTTP_RANGE", "-")
        log.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {ranged} {status[:3]}\\n")
        return start_response(status, headers, *more)
    return app(environ, begin)

class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log(self, *_):
        pass

server = make_server("127.0.0.1", 0, recorded, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Request(NamedTuple):
    """A request that was answered."""

    method: str
    path: str
    range: str
    status: str


class Recorded:
    """A server, and what it has answered."""

    def __init__(self, server: Server, log: Path) -> None:
        self.server = server
        self.log = log

    def requests(self) -> list[Request]:
        """Return the requests in the order of the answers."""
        return [Request(*line.split(" ")) for line in self.log.read_text().splitlines()]

    def forget(self) -> None:
        """Begin anew."""
        os.truncate(self.log, 0)

    def read(self) -> int:
        """Return how many wheels were opened so far."""
        return sum(one.method == "GET" and one.path.endswith(".whl") for one in self.requests())


@contextmanager
def recorded(folder: Path) -> Iterator[Recorded]:
    """Start moto's server, with its log in ``folder``."""
    log = folder / "requests"
    log.touch()
    command = [sys.executable, "-W", "ignore", "-c", RECORDED, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield Recorded(Server(url=f"http://127.0.0.1:{int(process.stdout.readline())}"), log)
        finally:
            process.kill()
