from __future__ import annotations

import gzip
import hashlib
import socket
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import Refused, ServiceFailed
from tasks.services.download import fetch_file
from tasks.services.http import Http, Patience
from tests.services.web_server import Reply, WebServer, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SDIST = b"an sdist" * 50_000
SHA = hashlib.sha256(SDIST).hexdigest()
QUICK = Patience(timeout=5, pauses=(0.01, 0.02))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        server.replies["/foo-1.0.tar.gz"] = Reply(body=SDIST)
        yield server


def fetch(web: WebServer, destination: Path, *, path: str = "/foo-1.0.tar.gz", sha256: str = SHA) -> None:
    with Http(patience=QUICK) as http:
        fetch_file(http, web.url + path, sha256, destination)


def test_a_file_with_the_right_digest_is_put_in_place(web: WebServer, tmp_path: Path) -> None:
    fetch(web, tmp_path / "new" / "directory" / "foo.tar.gz")

    assert (tmp_path / "new" / "directory" / "foo.tar.gz").read_bytes() == SDIST


def test_a_digest_is_the_same_in_capitals(web: WebServer, tmp_path: Path) -> None:
    fetch(web, tmp_path / "foo.tar.gz", sha256=SHA.upper())

    assert (tmp_path / "foo.tar.gz").read_bytes() == SDIST


def test_a_file_that_is_there_is_not_fetched_again(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "foo.tar.gz").write_bytes(SDIST)

    fetch(web, tmp_path / "foo.tar.gz")

    assert web.asked == []


def test_a_damaged_file_is_replaced(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "foo.tar.gz").write_bytes(SDIST[:-1])

    fetch(web, tmp_path / "foo.tar.gz")

    assert (tmp_path / "foo.tar.gz").read_bytes() == SDIST


def test_another_digest_is_refused_and_nothing_is_kept(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        fetch(web, tmp_path / "foo.tar.gz", sha256="0" * 64)

    assert str(caught.value) == (
        f"{web.url}/foo-1.0.tar.gz: its sha256 is {SHA}, expected {'0' * 64}; nothing of it was kept"
    )
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_a_failure_of_the_service(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed) as caught:
        fetch(web, tmp_path / "foo.tar.gz", path="/gone.tar.gz")

    assert str(caught.value) == f"{web.url}/gone.tar.gz: the server answers 404 Not Found"
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_a_failure_of_the_service(tmp_path: Path) -> None:
    with socket.socket() as taken, Http(patience=QUICK) as http:
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:s3cret@127.0.0.1:{taken.getsockname()[1]}/foo.tar.gz"
        with pytest.raises(ServiceFailed) as caught:
            fetch_file(http, url, SHA, tmp_path / "foo.tar.gz")

    clean = url.replace("me:s3cret@", "")
    assert str(caught.value) == f"{clean}: the server cannot be reached: Connection refused"


def test_a_download_that_broke_off_begins_anew(web: WebServer, tmp_path: Path) -> None:
    web.replies["/foo-1.0.tar.gz"] = [Reply(body=SDIST, cut=True), Reply(body=SDIST)]

    fetch(web, tmp_path / "foo.tar.gz")

    assert (tmp_path / "foo.tar.gz").read_bytes() == SDIST
    assert len(web.asked) == 2


def test_a_download_that_always_breaks_off_leaves_nothing(web: WebServer, tmp_path: Path) -> None:
    web.replies["/foo-1.0.tar.gz"] = Reply(body=SDIST, cut=True)

    with pytest.raises(ServiceFailed) as caught:
        fetch(web, tmp_path / "foo.tar.gz")

    assert str(caught.value).startswith(f"{web.url}/foo-1.0.tar.gz: the answer broke off: ")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_the_server_calls_compressed_stays_as_it_is(web: WebServer, tmp_path: Path) -> None:
    archive = gzip.compress(SDIST)
    web.replies["/foo-1.0.tar.gz"] = Reply(body=archive, headers={"Content-Encoding": "gzip"})

    fetch(web, tmp_path / "foo.tar.gz", sha256=hashlib.sha256(archive).hexdigest())

    assert (tmp_path / "foo.tar.gz").read_bytes() == archive


def test_the_credentials_of_the_index_serve_its_files_too(web: WebServer, tmp_path: Path) -> None:
    with Http(f"http://me:s3cret@127.0.0.1:{web.port}/simple/", patience=QUICK) as http:
        fetch_file(http, f"{web.url}/foo-1.0.tar.gz", SHA, tmp_path / "foo.tar.gz")

    assert web.asked[0].headers["authorization"] == "Basic bWU6czNjcmV0"


def test_the_credentials_of_the_index_go_to_no_other_server(web: WebServer, tmp_path: Path) -> None:
    with Http("http://me:s3cret@index.example/simple/", patience=QUICK) as http:
        fetch_file(http, f"{web.url}/foo-1.0.tar.gz", SHA, tmp_path / "foo.tar.gz")

    assert "authorization" not in web.asked[0].headers


def test_a_file_url_is_copied_and_checked(tmp_path: Path) -> None:
    source = tmp_path / "a file.tar.gz"
    source.write_bytes(SDIST)

    with Http() as http:
        fetch_file(http, source.as_uri(), SHA, tmp_path / "foo.tar.gz")
        with pytest.raises(Refused):
            fetch_file(http, source.as_uri(), "0" * 64, tmp_path / "bar.tar.gz")

    assert (tmp_path / "foo.tar.gz").read_bytes() == SDIST
    assert not (tmp_path / "bar.tar.gz").exists()


def test_a_file_url_of_nothing_is_a_failure_of_the_service(tmp_path: Path) -> None:
    url = (tmp_path / "gone.tar.gz").as_uri()
    with Http() as http, pytest.raises(ServiceFailed) as caught:
        fetch_file(http, url, SHA, tmp_path / "foo.tar.gz")

    assert str(caught.value) == f"{url}: cannot be read: No such file or directory"


def test_a_place_that_cannot_be_written_is_named(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    destination = tmp_path / "file" / "foo.tar.gz"

    with pytest.raises(ServiceFailed) as caught:
        fetch(web, destination)

    assert str(caught.value) == f"{destination}: cannot be written: File exists"
