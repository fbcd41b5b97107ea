"""Planning against an index that is read over HTTP: what it costs, and that nothing is taken for missing."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks import plan
from tasks.core.errors import ServiceFailed
from tasks.core.storage import Kind
from tasks.services.http import Patience
from tasks.services.website import Website
from tests.plans import FREEBSD, Here, folder_to_plan_in
from tests.services.web_server import HTML, JSON, Reply, WebServer, web_server
from tests.stores.recorded_s3 import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST = "/i/simple/index.json"
WHEEL = f"a-1.0-cp312-cp312-{FREEBSD}.whl"


class Site:
    """A folder to plan in, whose own index is at a real server."""

    def __init__(self, here: Here, web: WebServer) -> None:
        self.here = here
        self.web = web
        here.serve("a", "a-1.0.tar.gz")
        here.serve("b", "b-1.0.tar.gz")
        here.ask("  a: ['1.0']\n  b: ['1.0']\n")

    def publish(self, project: str, *files: str) -> None:
        """Publish as if to a bucket behind the server; its pages have ETags."""
        self.here.publish(project, *files)
        simple = self.here.folder / "dist/index/simple"
        for path in simple.rglob("index.json"):
            data = path.read_bytes()
            headers = {"Content-Type": JSON, "ETag": f'"{hash(data)}"'}
            self.web.replies[f"/i/simple/{path.relative_to(simple)}"] = Reply(body=data, headers=headers)

    def page(self, path: str, body: str, *, status: int = 200) -> None:
        self.web.replies[path] = Reply(body=body.encode(), headers={"Content-Type": HTML}, status=status)

    def plan(self, url: str = "/i") -> list[str]:
        """Plan; return what the server was asked, with the status."""
        assert self.exit_code(url) == 0
        return [f"{asked.status} {asked.path}" for asked in self.web.asked[self.before :]]

    def exit_code(self, url: str = "/i") -> int:
        self.before = len(self.web.asked)
        return plan.main(["--quiet", "--index", f"{self.web.url}{url}"])

    def planned(self) -> dict[str, int]:
        document = json.loads(self.here.plan.read_bytes())
        return {part: len(document[part]) for part in ("actions", "skipped", "errors") if document[part]}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with web_server() as web:
        yield Site(folder_to_plan_in(tmp_path, monkeypatch), web)


def test_what_did_not_change_costs_one_request_that_sends_nothing(site: Site) -> None:
    site.publish("a", WHEEL)
    site.publish("other", f"other-1.0-cp312-cp312-{FREEBSD}.whl")

    assert site.plan() == [f"200 {LIST}", "200 /i/simple/a/index.json"]
    assert site.plan() == [f"304 {LIST}"]
    assert site.planned() == {"actions": 1, "skipped": 1}


def test_the_list_is_on_its_way_while_the_matrix_is_read(site: Site) -> None:
    site.publish("a", WHEEL)
    matrix = site.here.matrix.read_bytes()
    site.here.matrix.unlink()
    os.mkfifo(site.here.matrix)

    def write() -> None:
        with site.here.matrix.open("wb") as file:  # waits until it is read
            for _ in range(500):
                if site.web.asked:
                    file.write(matrix)
                    return
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert site.plan() == [f"200 {LIST}", "200 /i/simple/a/index.json"]
    finally:
        writer.join()


def test_a_matrix_that_is_wrong_is_told_whatever_the_index_is(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.here.matrix.write_text("packages: 7\n")

    assert site.exit_code("/none") == 2
    assert "wheel_matrix.yml:1: packages: expected a mapping" in capsys.readouterr().err


def test_what_changed_is_read_and_nothing_else(site: Site) -> None:
    site.publish("a", WHEEL)
    site.publish("b", f"b-0.9-cp312-cp312-{FREEBSD}.whl")
    site.plan()

    site.publish("b", f"b-1.0-cp312-cp312-{FREEBSD}.whl")

    assert site.plan() == [f"200 {LIST}", "200 /i/simple/b/index.json"]
    assert site.planned() == {"skipped": 2}


def test_a_server_without_validators_is_asked_for_everything_and_parsed_once(site: Site) -> None:
    site.publish("a", WHEEL)
    for path, reply in site.web.replies.items():
        assert isinstance(reply, Reply)
        site.web.replies[path] = replace(reply, headers={"Content-Type": JSON})

    assert site.plan() == [f"200 {LIST}", "200 /i/simple/a/index.json"]
    assert site.plan() == [f"200 {LIST}"]


@pytest.mark.parametrize("url", ["/i/", "/i/simple", "/i/simple/"])
def test_the_url_may_be_the_one_that_installers_are_given(site: Site, url: str) -> None:
    site.publish("a", WHEEL)

    assert site.plan(url) == [f"200 {LIST}", "200 /i/simple/a/index.json"]


def test_user_and_password_are_sent_and_never_shown(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = site.web.url.removeprefix("http://")

    assert plan.main(["--index", f"http://team:secret@{host}/i"]) == 3

    assert {asked.headers["authorization"] for asked in site.web.asked} == {"Basic dGVhbTpzZWNyZXQ="}
    assert "secret" not in capsys.readouterr().err
    with Website(f"http://team:secret@{host}/i/simple/", tmp_path) as index:
        assert index.location == f"http://{host}/i/"
    assert not [path for path in site.here.folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


# ── What is not there ─────────────────────────────────────────────────────────────────────────────────────────────────


def error(site: Site, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert site.exit_code() == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert not site.here.plan.exists()
    return line.replace(site.web.url, "")


@pytest.mark.parametrize("status", [403, 404])
def test_an_index_that_is_not_there_is_not_taken_for_an_empty_one(
    site: Site, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    site.page(LIST, "no", status=status)
    site.page("/i/simple/", "no", status=404)

    line = "403 Forbidden" if status == 403 else "404 Not Found"
    assert error(site, capsys) == (
        "error: /i/simple/: the server answers 404 Not Found, and "
        f"{line} for simple/index.json; this is not taken for an empty index: name the URL that has simple/ in it, "
        "publish to it first, and let this machine read it"
    )


@pytest.mark.parametrize("status", [403, 404])
def test_a_listed_project_without_a_page_is_not_taken_for_an_empty_one(
    site: Site, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    site.publish("a", WHEEL)
    site.page("/i/simple/a/index.json", "no", status=status)

    line = "403 Forbidden" if status == 403 else "404 Not Found"
    assert error(site, capsys) == (
        f"error: /i/simple/a/index.json: the server answers {line}, although simple/index.json lists the project: wait "
        "for the publisher, or publish again"
    )


@pytest.mark.parametrize(("status", "line"), [(401, "401 Unauthorized"), (410, "410 Gone")])
def test_no_other_answer_is_an_index_without_a_list(
    site: Site, capsys: pytest.CaptureFixture[str], status: int, line: str
) -> None:
    site.page(LIST, "no", status=status)

    assert error(site, capsys) == f"error: {LIST}: the server answers {line}"


def test_a_server_that_fails_is_asked_again_and_then_an_error(site: Site) -> None:
    site.page(LIST, "no", status=503)

    with (
        Website(f"{site.web.url}/i", site.here.folder / "cache", patience=Patience(pauses=(0,))) as index,
        pytest.raises(ServiceFailed, match=r"index\.json: the server answers 503 Service Unavailable$"),
    ):
        index.get("simple/index.json")

    assert site.web.statuses() == [503, 503]


def test_a_server_that_answers_every_path_with_a_page_is_no_index(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.page(LIST, "<html>sign in</html>")

    assert error(site, capsys).startswith(
        'error: simple/index.json is "<html>sign in</html>", expected a JSON document; '
    )


def test_a_damaged_list_on_disk_is_none(site: Site) -> None:
    site.publish("a", WHEEL)
    site.plan()
    (kept,) = (site.here.folder / ".cache/website").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])

    assert site.plan() == [f"200 {LIST}"]


def test_a_url_that_is_none_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_to_plan_in(tmp_path, monkeypatch).ask("  a: ['1.0']\n")

    assert plan.main(["--quiet", "--index", "https://:80/x"]) == 2
    assert capsys.readouterr().err == "error: the index is 'https://:80/x', expected a URL like https://host/path\n"


# ── Indexes of other tools ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_index_of_another_tool_is_read_by_its_pages(site: Site) -> None:
    site.page("/i/simple/", '<a href="a/index.html">a</a> <a href="/i/simple/other/">other</a>')
    site.page("/i/simple/a/", f'<a href="../../packages/{WHEEL}" data-requires-python="&gt;=3.9">{WHEEL}</a>')

    asked = [f"404 {LIST}", "200 /i/simple/", "200 /i/simple/a/"]
    assert site.plan() == asked
    assert site.planned() == {"actions": 1, "skipped": 1}
    assert site.plan() == asked


def test_a_page_of_another_tool_that_is_listed_and_missing_is_an_error(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.page("/i/simple/", '<a href="a/">a</a>')

    assert error(site, capsys) == "error: /i/simple/a/ is not there, although simple/ lists it"


def test_a_page_without_a_project_is_no_list(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.page("/i/simple/", "<p>welcome</p>")

    assert error(site, capsys).startswith(
        "error: /i/simple/: lists no project, and 404 Not Found for simple/index.json; "
    )


# ── A bucket, signed and not ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_costs_the_same_signed_and_anonymous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = folder_to_plan_in(tmp_path, monkeypatch)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    here.ask("  a: ['1.0']\n")
    here.publish("a", WHEEL)
    here.publish("other", f"other-1.0-cp312-cp312-{FREEBSD}.whl")
    with recorded(tmp_path) as recording:
        store = recording.server.store(monkeypatch)
        for path in (here.folder / "dist/index").rglob("index.json"):
            store.put(str(path.relative_to(here.folder / "dist/index")), path.read_bytes(), kind=Kind.STATE)
        bucket, _, prefix = store.location.removeprefix("s3://").partition("/")
        for stored in store.list("simple/"):
            recording.server.client.put_object_acl(Bucket=bucket, Key=f"{prefix}/{stored}", ACL="public-read")
        top = store.location.removeprefix("s3:/")
        costs = {}
        for index in (store.location, f"{recording.server.url}{top}"):
            for when in ("cold", "warm"):
                recording.forget()
                assert plan.main(["--quiet", "--index", index]) == 0
                requests = recording.requests()
                costs[index.partition(":")[0], when] = [
                    f"{one.status} {one.path.removeprefix(top)}" for one in requests
                ]

    cold = ["200 /simple/index.json", "200 /simple/a/index.json"]
    assert costs == {
        ("s3", "cold"): cold,
        ("s3", "warm"): ["200 /simple/index.json"],
        ("http", "cold"): cold,
        ("http", "warm"): ["304 /simple/index.json"],
    }


def test_the_public_index_is_asked_while_ours_is_read(site: Site) -> None:
    """Of what is ``latest`` it has to be asked anyway; an exact version may be on our index."""
    site.publish("a", WHEEL)
    site.publish("b", WHEEL.replace("a-", "b-", 1))
    for name in ("a", "b"):
        site.page(f"/simple/{name}/", f'<a href="{name}-1.0.tar.gz">x</a>')
    ours = site.web.replies[LIST]
    assert isinstance(ours, Reply)
    site.web.replies[LIST] = replace(ours, delay=0.5)
    site.here.matrix.write_text(
        f"public_index: {site.web.url}/simple\n"
        f"targets:\n  t: {{instance: freebsd/15.1, arch: x86_64, platform_tag: {FREEBSD}, python: [cp312]}}\n"
        "packages:\n  a: [latest]\n  b: ['1.0']\n"
    )

    asked = site.plan()

    assert sorted(asked[:2]) == [f"200 {LIST}", "200 /simple/a/"]
    assert sorted(asked[2:]) == ["200 /i/simple/a/index.json", "200 /i/simple/b/index.json"]
    assert site.planned() == {"skipped": 2}
