from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

import pytest

from tasks.publish import main
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"


class Served(NamedTuple):
    """An index that is being served."""

    directory: Path
    url: str


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1"}


def start(index: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasks.publish", "--serve", "--json", "--index", str(index), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line == "}\n":
            break
    url: str = json.loads("".join(lines))["url"]
    return url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    make_wheel(directory / "dist" / "wheels", "Demo_Project", "1.0", headers="Requires-Python: >=3.9\n")
    assert main(["--quiet", "--dist", str(directory / "dist"), "--index", str(directory / "index")]) == 0
    (directory / "secret").write_text("secret")
    with start(directory / "index", "--port", "0") as server:
        yield Served(directory / "index", address(server))
        server.terminate()


def ask(served: Served, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def stored(served: Served, path: str) -> bytes:
    return (served.directory / path).read_bytes()


@pytest.mark.parametrize(
    ("accept", "content_type", "file"),
    [
        (PIP, JSON, "index.json"),
        (HTML, f"{HTML}; charset=utf-8", "index.html"),
        ("text/html", "text/html; charset=utf-8", "index.html"),
        ("*/*", "text/html; charset=utf-8", "index.html"),
    ],
)
@pytest.mark.parametrize("page", ["simple/", "simple/demo-project/"])
def test_a_page_comes_in_the_form_that_is_accepted(
    served: Served, page: str, accept: str, content_type: str, file: str
) -> None:
    answer = ask(served, f"/{page}", Accept=accept)

    assert (answer.status, answer.headers["Content-Type"], answer.headers["Vary"]) == (200, content_type, "Accept")
    assert answer.body == stored(served, page + file)


def test_the_format_in_the_address_is_stronger_than_the_header(served: Served) -> None:
    answer = ask(served, f"/simple/?format={JSON.replace('+', '%2B')}", Accept="text/html")

    assert answer.headers["Content-Type"] == JSON


def test_a_form_that_is_not_there_is_not_acceptable(served: Served) -> None:
    answer = ask(served, "/simple/demo-project/", Accept="application/vnd.pypi.simple.v2+json")

    assert (answer.status, answer.headers["Vary"]) == (406, "Accept")
    assert answer.body.decode() == f"this page is served as {HTML}, {JSON}, text/html\n"


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/simple", "/simple/"),
        ("/simple/demo-project", "/simple/demo-project/"),
        ("/simple/Demo_Project/", "/simple/demo-project/"),
        ("/simple/Demo.Project?format=x", "/simple/demo-project/?format=x"),
    ],
)
def test_an_address_that_is_not_normalised_is_redirected(served: Served, asked: str, target: str) -> None:
    answer = ask(served, asked)

    assert (answer.status, answer.headers["Location"], answer.body) == (301, target, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/simple/unknown/",
        "/packages/",
        "/packages",
        "/nothing",
        "/../secret",
        "/%2e%2e/secret",
        "/packages/..%2f..%2fsecret",
        "/packages/%5c..%5csecret",
        "/packages//x",
        "/.tmp/x",
        "/%00",
        "/%ff",
        "/simple/demo-project/more/",
    ],
)
def test_what_is_not_there_is_not_found_and_nothing_outside_is(served: Served, path: str) -> None:
    answer = ask(served, path)

    assert (answer.status, answer.body) == (404, b"not found\n")


def test_a_symbolic_link_that_leads_out_is_not_followed(served: Served) -> None:
    link = served.directory / "packages" / "out.whl"
    link.symlink_to(served.directory.parent / "secret")

    answer = ask(served, "/packages/out.whl")

    link.unlink()
    assert (answer.status, answer.body) == (500, b"the index cannot be read\n")


def test_a_page_that_has_not_changed_is_not_sent_again(served: Served) -> None:
    tag = ask(served, "/simple/", Accept=JSON).headers["ETag"]

    again = ask(served, "/simple/", Accept=JSON, If_None_Match=f'"other", W/{tag}')
    other_form = ask(served, "/simple/", Accept=HTML, If_None_Match=tag)

    assert (again.status, again.body, again.headers["ETag"], again.headers["Vary"]) == (304, b"", tag, "Accept")
    assert other_form.status == 200


def test_the_same_page_under_two_types_has_two_tags(served: Served) -> None:
    tags = {ask(served, "/simple/", Accept=accept).headers["ETag"] for accept in (JSON, HTML, "text/html")}

    assert len(tags) == 3


@pytest.mark.parametrize("path", ["/", "/simple/", "/packages/Demo_Project-1.0-py3-none-any.whl", "/nothing"])
def test_head_says_what_get_says_without_the_body(served: Served, path: str) -> None:
    get, head = ask(served, path), ask(served, path, "HEAD")

    assert head.body == b""
    assert head.status == get.status
    for name in ("Content-Type", "Content-Length", "ETag", "Vary"):
        assert head.headers[name] == get.headers[name]


def test_another_method_is_not_implemented(served: Served) -> None:
    assert ask(served, "/simple/", "DELETE").status == 501


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-", 206, 10, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=5-999999", 206, 5, None),
        ("bytes=0-1,4-5", 200, None, None),
        ("bytes=-", 200, None, None),
        ("lines=1-2", 200, None, None),
    ],
)
def test_a_part_of_a_wheel(served: Served, wanted: str, status: int, first: int | None, last: int | None) -> None:
    path = "packages/Demo_Project-1.0-py3-none-any.whl"
    whole = stored(served, path)

    answer = ask(served, f"/{path}", Range=wanted)

    assert (answer.status, answer.body) == (status, whole[first:last])
    if status == 206:
        start = whole.index(answer.body)
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.body) - 1}/{len(whole)}"


def test_a_part_that_is_not_there_cannot_be_had(served: Served) -> None:
    path = "packages/Demo_Project-1.0-py3-none-any.whl"

    answer = ask(served, f"/{path}", Range="bytes=99999999-")

    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(stored(served, path))}")


def test_a_part_of_another_version_is_answered_by_the_whole(served: Served) -> None:
    path = "packages/Demo_Project-1.0-py3-none-any.whl"

    assert ask(served, f"/{path}", Range="bytes=0-9", If_Range='"other"').body == stored(served, path)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("packages/Demo_Project-1.0-py3-none-any.whl", "application/zip"),
        ("packages/Demo_Project-1.0-py3-none-any.whl.metadata", "text/plain; charset=utf-8"),
        ("simple/index.json", "application/json"),
        ("simple/demo-project/index.html", "text/html; charset=utf-8"),
    ],
)
def test_every_file_has_its_content_type(served: Served, path: str, content_type: str) -> None:
    answer = ask(served, f"/{path}")

    assert (answer.headers["Content-Type"], answer.body) == (content_type, stored(served, path))


def test_the_home_page_is_at_the_root(served: Served) -> None:
    assert ask(served, "/").body == stored(served, "index.html")


@pytest.mark.parametrize("accept", [PIP, HTML, "text/html", "*/*", ""])
@pytest.mark.parametrize("page", ["", "demo-project/"])
def test_the_json_root_is_json_whatever_is_accepted(served: Served, page: str, accept: str) -> None:
    answer = ask(served, f"/json/{page}", Accept=accept)

    assert (answer.status, answer.headers["Content-Type"], answer.headers["Vary"]) == (200, JSON, None)
    assert answer.body == stored(served, f"simple/{page}index.json")


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/json", "/json/"),
        ("/json/Demo_Project", "/json/demo-project/"),
        ("/pypi/Demo_Project/json", "/pypi/demo-project/json"),
    ],
)
def test_the_other_roots_are_normalised_too(served: Served, asked: str, target: str) -> None:
    answer = ask(served, asked)

    assert (answer.status, answer.headers["Location"]) == (301, target)


@pytest.mark.parametrize("path", ["/json/unknown/", "/pypi/unknown/json", "/pypi/demo-project/9/json", "/pypi/"])
def test_what_the_other_roots_do_not_have_is_not_found(served: Served, path: str) -> None:
    assert ask(served, path).status == 404


@pytest.mark.parametrize("path", ["pypi/demo-project/json", "pypi/demo-project/1.0/json"])
def test_release_json_is_served_as_json_and_its_links_resolve(served: Served, path: str) -> None:
    answer = ask(served, f"/{path}")

    assert (answer.headers["Content-Type"], answer.body) == ("application/json", stored(served, path))
    url = urljoin(f"/{path}", json.loads(answer.body)["urls"][0]["url"])
    assert ask(served, url).body == stored(served, "packages/Demo_Project-1.0-py3-none-any.whl")


INSTALLERS = {
    "pip": [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "-v"],
    "uv": ["uv", "pip", "install", "--no-config", "--no-cache", "--python", sys.executable],
}


@pytest.mark.parametrize("installer", INSTALLERS)
def test_an_installer_installs_from_it(served: Served, installer: str, tmp_path: Path) -> None:
    if installer == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not here")
    options = ["--index-url", served.url, "--no-deps", "--only-binary", ":all:", "--target", str(tmp_path / "site")]
    command = [*INSTALLERS[installer], *options, "demo-project"]

    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "site" / "demo_project.py").read_text() == "VERSION = '1.0'\n"


DATED = {
    "pip": ("--uploaded-prior-to", "2026-01-02T00:00:00Z"),
    "uv": ("--exclude-newer", "2026-01-02T00:00:00Z"),
}


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An index with version 1.0 of 1 January and version 2.0 of 3 January."""
    directory = tmp_path_factory.mktemp("dated")
    for version, epoch in (("1.0", "1767225600"), ("2.0", "1767398400")):
        make_wheel(directory / version / "wheels", "demo", version)
        command = [sys.executable, "-m", "tasks.publish", "--quiet", "--index", str(directory / "index")]
        told = {**environment(), "SOURCE_DATE_EPOCH": epoch}
        subprocess.run([*command, str(directory / version)], check=True, env=told, capture_output=True)
    with start(directory / "index", "--port", "0") as server:
        yield Served(directory / "index", address(server))
        server.terminate()


@pytest.mark.parametrize("root", ["simple", "json"])
@pytest.mark.parametrize("installer", INSTALLERS)
def test_an_installer_takes_what_was_there_on_a_day(dated: Served, installer: str, root: str, tmp_path: Path) -> None:
    if installer == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not here")
    options = ["--index-url", urljoin(dated.url, f"/{root}/"), "--no-deps", "--only-binary", ":all:"]
    found = {}
    for name, date in (("then", DATED[installer]), ("now", ())):
        target = ["--target", str(tmp_path / name)]
        ran = subprocess.run(
            [*INSTALLERS[installer], *options, *target, *date, "demo"],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        found[name] = (tmp_path / name / "demo.py").read_text()

    assert found == {"then": "VERSION = '1.0'\n", "now": "VERSION = '2.0'\n"}


def test_ctrl_c_ends_it_without_an_error(tmp_path: Path) -> None:
    with start(tmp_path, "--port", "0") as server:
        url = address(server)
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=10)

    assert server.returncode == 0
    assert errors.splitlines() == [
        f"warning: {tmp_path} is empty: publish something first",
        f"{tmp_path} is at {url.removesuffix('simple/')} ; Ctrl-C ends it",
        f"pip install --index-url {url} NAME",
        "stopped",
    ]


def test_a_port_that_is_taken_is_a_failed_service(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start(tmp_path, "--port", str(port)) as server:
            _, errors = server.communicate(timeout=10)

    assert (server.returncode, errors) == (
        3,
        f"error: port {port} cannot be served: Address already in use; name another with --port\n",
    )
