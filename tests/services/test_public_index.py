from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pypi_simple
import pytest
import requests
from packaging.utils import canonicalize_name

from tasks.core.errors import BadInput, ServiceFailed
from tasks.core.releases import Project
from tasks.services.default_index import default_index
from tasks.services.http import Patience
from tasks.services.pip_config import PipSettings, read_pip_settings
from tasks.services.public_index import THREADS, NoSuchProject, PublicIndex
from tests.services.web_server import HTML, JSON, Reply, WebServer, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHA = "d76623373421df22fb4cf8817020cbb7ef15c725b9d5e45f17e189bfc384190f"
NO_PIP = PipSettings()
QUICK = Patience(timeout=5, pauses=(0.01, 0.02))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def html(*anchors: str) -> bytes:
    return f"<!DOCTYPE html><html><body>{''.join(anchors)}</body></html>".encode()


def sdist(name: str, version: str = "1.0") -> str:
    return f'<a href="../../files/{name}-{version}.tar.gz#sha256={SHA}">{name}-{version}.tar.gz</a>'


def page(*anchors: str, **headers: str) -> Reply:
    return Reply(body=html(*anchors), headers={"Content-Type": HTML} | headers)


def index(web: WebServer, cache: Path, *, settings: PipSettings = NO_PIP, patience: Patience = QUICK) -> PublicIndex:
    return PublicIndex(f"{web.url}/simple/", cache, settings=settings, patience=patience)


def fetch(web: WebServer, cache: Path, *names: str) -> dict[str, Project | NoSuchProject]:
    with index(web, cache) as public:
        return {str(name): answer for name, answer in public.fetch(names).items()}


def failure(web: WebServer, cache: Path, *names: str) -> str:
    """The message of the failure, with the server's address as ``INDEX``."""
    with pytest.raises(ServiceFailed) as caught:
        fetch(web, cache, *names)
    assert caught.value.exit_code == 3
    return str(caught.value).replace(web.url, "INDEX")


def versions(project: Project | NoSuchProject) -> list[str]:
    assert isinstance(project, Project)
    return [str(release.version) for release in project.releases]


# ── Requests and the cache ──


def test_each_project_is_asked_for_once_and_then_only_whether_it_changed(web: WebServer, tmp_path: Path) -> None:
    names = [f"pkg{number}" for number in range(20)]
    for name in names:
        web.replies[f"/simple/{name}/"] = page(sdist(name), ETag=f'"{name}"')

    cold = fetch(web, tmp_path, *names)
    assert web.statuses() == [200] * 20
    assert not any("if-none-match" in asked.headers for asked in web.asked)

    web.asked.clear()
    warm = fetch(web, tmp_path, *names)
    assert web.statuses() == [304] * 20
    assert {asked.headers["if-none-match"] for asked in web.asked} == {f'"{name}"' for name in names}
    assert warm == cold


def test_a_date_revalidates_where_there_is_no_etag(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = page(sdist("foo"), **{"Last-Modified": "Fri, 20 Nov 2026 09:00:00 GMT"})

    assert fetch(web, tmp_path, "foo") == fetch(web, tmp_path, "foo")
    assert web.statuses() == [200, 304]


def test_a_page_without_validators_is_not_parsed_again_while_its_bytes_are_the_same(
    web: WebServer, tmp_path: Path
) -> None:
    web.replies["/simple/foo/"] = page(sdist("foo"))
    cold = fetch(web, tmp_path, "foo")
    (cached,) = tmp_path.rglob("foo.json")
    written = cached.stat().st_mtime_ns

    assert fetch(web, tmp_path, "foo") == cold
    assert web.statuses() == [200, 200]
    assert cached.stat().st_mtime_ns == written


def test_a_page_that_changed_is_taken(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = [
        page(sdist("foo"), ETag='"1"'),
        page(sdist("foo"), sdist("foo", "2.0"), ETag='"2"'),
    ]

    assert versions(fetch(web, tmp_path, "foo")["foo"]) == ["1.0"]
    assert versions(fetch(web, tmp_path, "foo")["foo"]) == ["1.0", "2.0"]


def test_max_age_does_not_make_a_plan_old(web: WebServer, tmp_path: Path) -> None:
    old = {"ETag": '"1"', "Cache-Control": "max-age=600"}
    web.replies["/simple/foo/"] = [page(sdist("foo"), **old), page(sdist("foo", "2.0"))]
    fetch(web, tmp_path, "foo")

    assert versions(fetch(web, tmp_path, "foo")["foo"]) == ["2.0"]


def test_the_cache_keeps_all_that_a_page_says(web: WebServer, tmp_path: Path) -> None:
    files = [
        {
            "filename": "foo-1.0.tar.gz",
            "url": "https://files.example/foo-1.0.tar.gz",
            "hashes": {"sha256": SHA},
            "size": 1234,
            "requires-python": ">=3.8",
            "yanked": "broken",
            "upload-time": "2026-11-12T12:26:43Z",
        },
        {"filename": "foo-1.0-py3-none-any.whl", "url": "w/foo-1.0-py3-none-any.whl", "hashes": {}, "yanked": True},
        {"filename": "foo-1.0-cp312-cp312-win32.whl", "url": "w/foo-1.0-cp312-cp312-win32.whl", "hashes": {}},
        {"filename": "foo-1.0.exe", "url": "w/foo-1.0.exe", "hashes": {}},
    ]
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": "foo", "files": files}).encode()
    web.replies["/simple/foo/"] = Reply(body=body, headers={"Content-Type": JSON, "ETag": '"1"'})

    cold = fetch(web, tmp_path, "foo")

    assert fetch(web, tmp_path, "foo") == cold
    assert web.statuses() == [200, 304]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": 0}\n{}', b"\xff\xfe\n", b"[]\n[]"])
def test_a_cache_that_cannot_be_read_is_no_cache(web: WebServer, tmp_path: Path, damage: bytes) -> None:
    web.replies["/simple/foo/"] = page(sdist("foo"), ETag='"1"')
    cold = fetch(web, tmp_path, "foo")
    (cached,) = tmp_path.rglob("foo.json")
    cached.write_bytes(damage)

    assert fetch(web, tmp_path, "foo") == cold
    assert web.statuses() == [200, 200]


def test_a_cache_that_was_cut_short_is_no_cache(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = page(sdist("foo"), ETag='"1"')
    cold = fetch(web, tmp_path, "foo")
    (cached,) = tmp_path.rglob("foo.json")
    cached.write_bytes(cached.read_bytes()[:-1])

    assert fetch(web, tmp_path, "foo") == cold
    assert web.statuses() == [200, 200]


def test_a_cache_that_cannot_be_written_costs_only_time(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = page(sdist("foo"))
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    assert versions(fetch(web, tmp_path / "file" / "cache", "foo")["foo"]) == ["1.0"]


def test_a_name_is_asked_for_in_its_normal_form_and_once(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/lazy-object-proxy/"] = page(sdist("lazy_object_proxy"))

    assert list(fetch(web, tmp_path, "Lazy.Object_Proxy", "lazy-object-proxy")) == ["lazy-object-proxy"]
    assert [asked.path for asked in web.asked] == ["/simple/lazy-object-proxy/"]


def test_the_answers_are_sorted_by_name(web: WebServer, tmp_path: Path) -> None:
    assert list(fetch(web, tmp_path, "c", "a", "b")) == ["a", "b", "c"]


def test_nothing_to_ask_asks_nothing(web: WebServer, tmp_path: Path) -> None:
    assert fetch(web, tmp_path) == {}
    assert web.connections == 0


def test_what_was_begun_is_not_asked_again(web: WebServer, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        web.replies[f"/simple/{name}/"] = page(sdist(name))
    with index(web, tmp_path) as public:
        public.begin(["c", "B"])
        assert list(public.fetch(["a", "b"])) == ["a", "b"]
        assert sorted(asked.path for asked in web.asked) == ["/simple/a/", "/simple/b/", "/simple/c/"]
        assert list(public.fetch(["a"])) == ["a"]
    assert len(web.asked) == 4


def test_the_fault_of_what_was_begun_is_raised_where_it_is_fetched(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/a/"] = Reply(status=403)
    with index(web, tmp_path) as public:
        public.begin(["a"])
        with pytest.raises(ServiceFailed, match="403 Forbidden"):
            public.fetch(["b"])


def test_nothing_to_begin_begins_nothing(web: WebServer, tmp_path: Path) -> None:
    with index(web, tmp_path) as public:
        public.begin([])
        assert public.fetch([]) == {}
    assert web.asked == []


def test_connections_are_used_again(web: WebServer, tmp_path: Path) -> None:
    fetch(web, tmp_path, *(f"pkg{number}" for number in range(60)))

    assert len(web.asked) == 60
    assert web.connections <= THREADS


def test_both_forms_are_asked_for(web: WebServer, tmp_path: Path) -> None:
    fetch(web, tmp_path, "foo")

    assert web.asked[0].headers["accept"] == (
        "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
    )


# ── What is not there, and servers that fail ──


def test_a_project_that_is_not_there_is_a_value(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = page(sdist("foo"))

    answers = fetch(web, tmp_path, "foo", "bar")

    assert versions(answers["foo"]) == ["1.0"]
    assert answers["bar"] == NoSuchProject(
        name=canonicalize_name("bar"), message=f"bar is not on the public index {web.url}/simple/"
    )


@pytest.mark.parametrize(("status", "line"), [(401, "401 Unauthorized"), (403, "403 Forbidden")])
def test_an_index_that_wants_credentials_says_where_they_go(
    web: WebServer, tmp_path: Path, status: int, line: str
) -> None:
    web.replies["/simple/foo/"] = Reply(status=status)

    assert failure(web, tmp_path, "foo") == (
        f"INDEX/simple/foo/: the server answers {line}; the index is named by public_index in the matrix; "
        "give a user and a password in netrc or in PIP_INDEX_URL"
    )
    assert len(web.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(web: WebServer, tmp_path: Path, status: int) -> None:
    web.replies["/simple/foo/"] = [Reply(status=status), Reply(status=status), page(sdist("foo"))]

    assert versions(fetch(web, tmp_path, "foo")["foo"]) == ["1.0"]
    assert web.statuses() == sorted([200, status, status])


def test_a_lasting_fault_is_given_up(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(status=503)

    assert failure(web, tmp_path, "foo") == (
        "INDEX/simple/foo/: the server answers 503 Service Unavailable; "
        "the index is named by public_index in the matrix"
    )
    assert web.statuses() == [503, 503, 503]


def test_a_server_that_asks_for_more_time_than_there_is_is_not_waited_for(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(status=429, headers={"Retry-After": "3600"})

    assert failure(web, tmp_path, "foo").startswith("INDEX/simple/foo/: the server answers 429 Too Many Requests;")
    assert web.statuses() == [429]


def test_a_server_that_asks_for_no_pause_is_not_asked_for_ever(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(status=503, headers={"Retry-After": "0"})

    assert failure(web, tmp_path, "foo").startswith("INDEX/simple/foo/: the server answers 503 Service Unavailable;")
    assert web.statuses() == [503, 503, 503]


@pytest.mark.parametrize("url", ["http://[x/simple", "http://localhost:abc/simple", "gopher://x", "simple"])
def test_what_is_no_address_of_an_index_is_bad_input(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput) as caught:
        PublicIndex(url, tmp_path, settings=NO_PIP)
    assert str(caught.value) == f"public_index in the matrix is {url}, expected an http, https or file URL"


def test_another_status_is_not_an_empty_project(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(status=410)

    assert failure(web, tmp_path, "foo").startswith("INDEX/simple/foo/: the server answers 410 Gone;")


def test_an_answer_that_broke_off_is_tried_again(web: WebServer, tmp_path: Path) -> None:
    whole = page(*(sdist("foo", str(number)) for number in range(100)))
    web.replies["/simple/foo/"] = [Reply(body=whole.body, headers=whole.headers, cut=True), whole]

    assert len(versions(fetch(web, tmp_path, "foo")["foo"])) == 100
    assert len(web.asked) == 2


def test_an_answer_that_always_breaks_off_is_no_shorter_project(web: WebServer, tmp_path: Path) -> None:
    whole = page(*(sdist("foo", str(number)) for number in range(100)))
    web.replies["/simple/foo/"] = Reply(body=whole.body, headers=whole.headers, cut=True)

    assert failure(web, tmp_path, "foo").startswith("INDEX/simple/foo/: the answer broke off: ")


def test_an_index_that_is_not_there_is_named_with_the_reason(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can be there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/simple"
        with (
            PublicIndex(url, tmp_path, settings=NO_PIP, patience=QUICK) as public,
            pytest.raises(ServiceFailed) as caught,
        ):
            public.fetch(["foo", "bar"])

    assert str(caught.value) == (
        f"{url}/bar/: the server cannot be reached: Connection refused; the index is named by public_index in the matrix"
    )


def test_a_server_that_does_not_answer_is_given_up(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(delay=1)
    patience = Patience(timeout=0.1, pauses=())

    with index(web, tmp_path, patience=patience) as public, pytest.raises(ServiceFailed) as caught:
        public.fetch(["foo"])

    assert str(caught.value).replace(web.url, "INDEX") == (
        "INDEX/simple/foo/: no answer within 0.1 s; the index is named by public_index in the matrix"
    )


def test_a_failing_server_is_not_asked_for_every_project(web: WebServer, tmp_path: Path) -> None:
    names = [f"pkg{number}" for number in range(100)]
    for name in names:
        web.replies[f"/simple/{name}/"] = Reply(status=403)

    failure(web, tmp_path, *names)

    assert len(web.asked) < 100


def test_tls_that_fails_is_not_tried_again(web: WebServer, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{web.port}/simple/"  # the server speaks no TLS
    with PublicIndex(url, tmp_path, settings=NO_PIP, patience=QUICK) as public, pytest.raises(ServiceFailed) as caught:
        public.fetch(["foo"])

    assert str(caught.value).startswith(f"{url}foo/: the TLS connection failed: ")
    assert web.connections == 1


def test_redirects_are_followed_and_files_are_relative_to_their_end(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(status=301, headers={"Location": "/mirror/simple/foo/"})
    web.replies["/mirror/simple/foo/"] = page(sdist("foo"))

    project = fetch(web, tmp_path, "foo")["foo"]

    assert isinstance(project, Project)
    assert project.releases[0].sdist is not None
    assert project.releases[0].sdist.url == f"{web.url}/mirror/files/foo-1.0.tar.gz"


def test_redirects_without_end_are_given_up(web: WebServer, tmp_path: Path) -> None:
    web.replies["/simple/foo/"] = Reply(status=302, headers={"Location": "/simple/foo/"})

    assert failure(web, tmp_path, "foo").startswith("INDEX/simple/foo/: the server redirects without end;")


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (
            "application/json",
            b'{"files": [',
            "is broken or truncated JSON (Expecting value: line 1 column 12 (char 11))",
        ),
        (JSON, b"[]", 'is JSON without "files"'),
        (JSON, b'{"meta": {"api-version": "2.0"}, "files": []}', "is of version 2.0 of the Simple API, expected 1.x"),
        ("text/html", b"<html><body>Sign in, please</body></html>", "lists no file of foo"),
        ("text/html", html('<a href="/login">Sign in</a>'), "lists no file of foo"),
        ("text/html", html(sdist("bar")), "lists no file of foo"),
        ("text/html", html(sdist("foo"))[:60], "is truncated HTML"),
        ("image/png", b"\x89PNG", "is image/png, expected a page of the Simple API, JSON or HTML"),
        ("", b"foo", "is of no content type, expected a page of the Simple API, JSON or HTML"),
    ],
)
def test_what_is_no_page_is_never_an_empty_project(
    web: WebServer, tmp_path: Path, content_type: str, body: bytes, message: str
) -> None:
    web.replies["/simple/foo/"] = Reply(body=body, headers={"Content-Type": content_type})

    assert failure(web, tmp_path, "foo") == (
        f"INDEX/simple/foo/ {message}; the index is named by public_index in the matrix"
    )
    assert list(tmp_path.rglob("*.json")) == []


# ── Credentials ──


def test_user_info_is_sent_and_never_shown(web: WebServer, tmp_path: Path) -> None:
    url = f"http://me:s3cr%40t@127.0.0.1:{web.port}/simple/"
    web.replies["/simple/foo/"] = page('<a href="foo-1.0.tar.gz">foo</a>')
    web.replies["/simple/locked/"] = Reply(status=403)

    with PublicIndex(url, tmp_path, settings=NO_PIP, patience=QUICK) as public:
        answers = public.fetch(["foo", "missing"])
        with pytest.raises(ServiceFailed) as caught:
            public.fetch(["locked"])

    assert {asked.headers["authorization"] for asked in web.asked} == {"Basic bWU6czNjckB0"}  # me:s3cr@t
    assert public.url == f"{web.url}/simple/"
    for shown in [str(answers), str(caught.value), repr(public), *_contents(tmp_path)]:
        assert "s3cr" not in shown


def _contents(directory: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in directory.rglob("*") if path.is_file()]


def test_user_info_is_not_sent_to_another_server(web: WebServer, tmp_path: Path) -> None:
    with web_server() as other:
        other.replies["/foo/"] = page(sdist("foo"))
        web.replies["/simple/foo/"] = Reply(status=302, headers={"Location": f"http://localhost:{other.port}/foo/"})
        url = f"http://me:s3cret@127.0.0.1:{web.port}/simple/"
        with PublicIndex(url, tmp_path, settings=NO_PIP, patience=QUICK) as public:
            public.fetch(["foo"])

        assert "authorization" in web.asked[0].headers
        assert "authorization" not in other.asked[0].headers


def test_netrc_is_used(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    fetch(web, tmp_path / "cache", "foo")

    assert web.asked[0].headers["authorization"] == "Basic bWU6czNjcmV0"


# ── Which index ──


def test_the_matrix_goes_before_pip_and_pip_before_the_default(tmp_path: Path) -> None:
    pips = PipSettings(index_url="https://pips.example/simple", index_url_from="PIP_INDEX_URL")

    declared = PublicIndex("https://declared.example/simple", tmp_path, settings=pips)
    configured = PublicIndex(None, tmp_path, settings=pips)
    default = PublicIndex(None, tmp_path, settings=NO_PIP, default=default_index)

    assert (declared.url, declared.named_by) == ("https://declared.example/simple/", "public_index in the matrix")
    assert (configured.url, configured.named_by) == ("https://pips.example/simple/", "index-url in PIP_INDEX_URL")
    assert (default.url, default.named_by) == (pypi_simple.PYPI_SIMPLE_ENDPOINT, "the default of pypi-simple")


def test_the_default_is_the_librarys() -> None:
    assert default_index() == pypi_simple.PYPI_SIMPLE_ENDPOINT


def test_an_address_that_is_no_url_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        PublicIndex("dist/index", tmp_path, settings=NO_PIP)

    assert str(caught.value) == "public_index in the matrix is dist/index, expected an http, https or file URL"


def test_certificate_authorities_that_are_not_there_are_bad_input(web: WebServer, tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(BadInput) as caught:
        index(web, tmp_path, settings=PipSettings(cert=str(missing))).fetch(["foo"])

    assert str(caught.value) == f"pip's setting cert names {missing}, which is not there"


# ── A directory as index ──


def test_a_directory_of_pages_is_an_index(tmp_path: Path) -> None:
    (tmp_path / "simple" / "foo").mkdir(parents=True)
    (tmp_path / "simple" / "foo" / "index.html").write_bytes(html(sdist("foo")))

    with PublicIndex((tmp_path / "simple").as_uri(), tmp_path / "cache", settings=NO_PIP) as public:
        answers = public.fetch(["foo", "bar"])

    project = answers[canonicalize_name("foo")]
    assert isinstance(project, Project)
    assert project.releases[0].sdist is not None
    assert project.releases[0].sdist.url == f"{tmp_path.as_uri()}/files/foo-1.0.tar.gz"
    assert answers[canonicalize_name("bar")] == NoSuchProject(
        name=canonicalize_name("bar"),
        message=f"bar is not on the public index {tmp_path.as_uri()}/simple/",
    )


def test_a_directory_that_is_not_there_is_no_empty_index(tmp_path: Path) -> None:
    url = (tmp_path / "nowhere").as_uri()
    with PublicIndex(url, tmp_path / "cache", settings=NO_PIP) as public, pytest.raises(ServiceFailed) as caught:
        public.fetch(["foo"])

    assert str(caught.value) == f"{url}/ is no directory; the index is named by public_index in the matrix"


# ── The real index ──


@pytest.mark.skipif(bool(os.environ.get("PIP_NO_INDEX")), reason="PIP_NO_INDEX is set")
def test_the_real_index_says_the_same_to_pypi_simple(tmp_path: Path) -> None:
    with PublicIndex(None, tmp_path, default=default_index) as public:
        try:
            ours = public.fetch(["MarkupSafe"])
        except ServiceFailed as failed:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(failed))
        session = requests.Session()
        session.verify = read_pip_settings().cert or True  # who set pip up for a proxy's authority need not do it again
        with pypi_simple.PyPISimple(endpoint=public.url, session=session) as client:
            theirs = client.get_project_page("MarkupSafe")

    project = ours[canonicalize_name("markupsafe")]
    assert isinstance(project, Project)
    sdists = {
        package.filename: (package.url, package.digests.get("sha256"))
        for package in theirs.packages
        if package.package_type == "sdist" and package.version in versions(project)
    }
    wheels = sorted(package.filename for package in theirs.packages if package.package_type == "wheel")
    found = [release.sdist for release in project.releases if release.sdist]
    assert {file.filename: (file.url, file.sha256) for file in found} == sdists
    assert sorted(wheel.filename for release in project.releases for wheel in release.wheels) == wheels
