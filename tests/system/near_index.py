"""An index on this machine's end of a host's cable: what the public index has, without what a test withholds."""

from __future__ import annotations

import html
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from packaging.utils import NormalizedName, canonicalize_name
from pypi_simple import ProjectPage

from tasks.core.errors import SpareTireError
from tasks.services.default_index import default_index
from tasks.services.download import fetch_file
from tasks.services.public_index import PublicIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tasks.services.http import Reply
    from tests.system.hosts import Host


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a project."""

    filename: str
    sha256: str
    url: str = ""
    requires_python: str | None = None
    yanked: str | None = None


@dataclass(kw_only=True)
class NearIndex:
    """What it serves; the rest is asked for once."""

    public: PublicIndex
    folder: Path
    withheld: Sequence[str]
    """Patterns of file names."""
    own: Mapping[str, Path] = field(default_factory=dict)
    """Sdists of projects that are on no other index, by name."""
    url: str = ""
    fetched: list[str] = field(default_factory=list)
    """The files that were asked for."""
    _known: dict[NormalizedName, dict[str, File] | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def files(self, name: NormalizedName) -> dict[str, File] | None:
        """Return a project's files by name."""
        with self._lock:
            if name not in self._known:
                self._known[name] = self._ask(name)
            return self._known[name]

    def _ask(self, name: NormalizedName) -> dict[str, File] | None:
        if name in self.own:
            file = File(filename=self.own[name].name, sha256=sha256(self.own[name].read_bytes()).hexdigest())
            return {file.filename: file}

        def receive(reply: Reply) -> ProjectPage | None:
            body = b"".join(reply.chunks())
            return ProjectPage.from_html(name, body, base_url=reply.url) if reply.ok else None

        page = self.public.http.get(f"{self.public.url}{name}/", receive, {"Accept": "text/html"})
        if page is None:
            return None
        return {
            file.filename: File(
                filename=file.filename,
                url=file.url.partition("#")[0],
                sha256=file.digests["sha256"],
                requires_python=file.requires_python,
                yanked=file.yanked_reason or "" if file.is_yanked else None,
            )
            for file in page.packages
            if not any(fnmatch(file.filename.lower(), pattern) for pattern in self.withheld)
        }

    def digest(self, filename: str) -> str:
        """Return the sha256 of a file that was asked for."""
        files = (file for known in self._known.values() for file in (known or {}).values())
        return next(file.sha256 for file in files if file.filename == filename)

    def answer(self, path: str) -> bytes | None:
        """Return what is at a path: ``/simple/NAME/`` or ``/files/NAME/FILE``."""
        _, kind, name, *rest = unquote(path).split("/")
        files = self.files(canonicalize_name(name))
        if files is None:
            return None
        if kind == "simple":
            return "".join(_link(canonicalize_name(name), file) for file in files.values()).encode()
        file = files[rest[0]]
        with self._lock:
            self.fetched.append(file.filename)
        if name in self.own:
            return self.own[name].read_bytes()
        there = self.folder / file.filename
        fetch_file(self.public.http, file.url, file.sha256, there)
        return there.read_bytes()


def _link(name: NormalizedName, file: File) -> str:
    requires = f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
    yanked = f' data-yanked="{html.escape(file.yanked)}"' if file.yanked is not None else ""
    return (
        f'<a href="/files/{name}/{quote(file.filename)}#sha256={file.sha256}"{requires}{yanked}>{file.filename}</a>\n'
    )


@contextmanager
def near_index(
    host: Host, *, withheld: Sequence[str] = (), own: Mapping[str, Path] | None = None
) -> Iterator[NearIndex]:
    """Serve it where that host reaches it, which is told to trust it as an index without TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.head()
            with suppress(ConnectionError):  # a client that was ended
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.head()

        def head(self) -> bytes:
            try:
                body = index.answer(self.path)
            except (KeyError, SpareTireError):
                body = None
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html" if self.path.startswith("/simple/") else "application/zip")
            self.send_header("Content-Length", str(len(body or b"")))
            with suppress(ConnectionError):
                self.end_headers()
            return body or b""

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="spare-tire-index-")))
        public = held.enter_context(PublicIndex(None, folder, default=default_index))
        index = NearIndex(public=public, folder=folder / "files", withheld=withheld, own=own or {})
        server = held.enter_context(ThreadingHTTPServer((host.gateway, 0), Handler))
        index.url = f"http://{host.gateway}:{server.server_port}/simple/"
        (host.files / "etc/pip.conf").write_text(f"[global]\ntrusted-host = {host.gateway}\n")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        held.callback(thread.join)
        held.callback(server.shutdown)
        yield index
