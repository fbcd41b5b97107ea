from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.core.actions import Patch
from tasks.core.errors import BadInput, Refused, ServiceFailed
from tasks.services.pip_config import PipSettings
from tasks.services.sources import Sources, fetch_sources
from tests.actions import action_of
from tests.services.web_server import Reply, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.core.actions import Action
    from tests.services.web_server import WebServer

BYTES = b"an sdist"
DIGEST = sha256(BYTES).hexdigest()
SETTINGS = PipSettings(timeout=30)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


def action(url: str, python: str = "cp312", *, digest: str = DIGEST, patches: tuple[Patch, ...] = ()) -> Action:
    made = action_of(python=python, patches=patches)
    filename = url.rpartition("/")[2]
    return replace(made, sdist=replace(made.sdist, filename=filename, url=url, sha256=digest))


def test_an_sdist_of_several_actions_is_fetched_once_and_never_again(server: WebServer, tmp_path: Path) -> None:
    server.replies["/spam-1.0.tar.gz"] = Reply(body=BYTES)
    actions = [action(f"{server.url}/spam-1.0.tar.gz", python) for python in ("cp311", "cp312")]

    first = fetch_sources(actions, tmp_path / "cache", SETTINGS)
    again = fetch_sources(actions, tmp_path / "cache", SETTINGS)

    place = tmp_path / "cache" / DIGEST / "spam-1.0.tar.gz"
    assert first == again == ({each.key: Sources(sdist=place) for each in actions}, {})
    assert place.read_bytes() == BYTES
    assert len(server.asked) == 1


def test_what_cannot_be_had_costs_its_own_wheel_unless_nothing_can(server: WebServer, tmp_path: Path) -> None:
    server.replies["/spam-1.0.tar.gz"] = Reply(body=BYTES)
    lost = [action(f"{server.url}/lost-{number}.tar.gz", digest=f"{number}" * 64) for number in (2, 1)]

    spam = action(f"{server.url}/spam-1.0.tar.gz")
    sources, lacking = fetch_sources([*lost, spam], tmp_path, SETTINGS)

    assert list(sources) == [spam.key]
    assert {str(error) for error in lacking.values()} == {
        f"{server.url}/lost-1.tar.gz: the server answers 404 Not Found",
        f"{server.url}/lost-2.tar.gz: the server answers 404 Not Found",
    }
    with pytest.raises(ServiceFailed) as caught:
        fetch_sources(lost, tmp_path, SETTINGS)
    assert caught.value.messages == (
        f"{server.url}/lost-2.tar.gz: the server answers 404 Not Found",
        f"{server.url}/lost-1.tar.gz: the server answers 404 Not Found",
    )


def test_other_bytes_are_refused_for_their_actions_alone(server: WebServer, tmp_path: Path) -> None:
    server.replies["/spam-1.0.tar.gz"] = Reply(body=BYTES)
    server.replies["/eggs-1.0.tar.gz"] = Reply(body=b"other bytes")
    good, bad = action(f"{server.url}/spam-1.0.tar.gz"), action(f"{server.url}/eggs-1.0.tar.gz", digest="0" * 64)

    sources, refused = fetch_sources([bad, good], tmp_path, SETTINGS)

    assert list(sources) == [good.key]
    found = sha256(b"other bytes").hexdigest()
    said = f"its sha256 is {found}, expected {'0' * 64}; nothing of it was kept"
    assert isinstance(refused[bad.key], Refused)
    assert str(refused[bad.key]) == f"{server.url}/eggs-1.0.tar.gz: {said}"


@pytest.mark.parametrize(("filename", "digest"), [("..", DIGEST), ("a b.tar.gz", DIGEST), ("x.tar.gz", "../../x")])
def test_what_is_no_file_name_or_digest_is_no_path(filename: str, digest: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        fetch_sources([action(f"https://x.test/{filename}", digest=digest)], tmp_path, SETTINGS)
    assert str(caught.value) == (
        f"the plan has an sdist {filename!r} with the sha256 {digest!r}, which cannot be; plan again"
    )


def test_a_patch_is_taken_as_it_was_planned(server: WebServer, tmp_path: Path) -> None:
    server.replies["/spam-1.0.tar.gz"] = Reply(body=BYTES)
    (tmp_path / "fix.patch").write_bytes(b"planned")
    patch = Patch(path=str(tmp_path / "fix.patch"), sha256=sha256(b"planned").hexdigest())
    patched = action(f"{server.url}/spam-1.0.tar.gz", patches=(patch,))

    sources, refused = fetch_sources([patched], tmp_path / "cache", SETTINGS)
    assert sources[patched.key].patches == (tmp_path / "fix.patch",)

    (tmp_path / "fix.patch").write_bytes(b"changed")
    sources, refused = fetch_sources([patched], tmp_path / "cache", SETTINGS)
    found = sha256(b"changed").hexdigest()
    said = f"its sha256 is {found}, the plan has {patch.sha256}; run nox -s plan again"
    assert (sources, {key: str(error) for key, error in refused.items()}) == (
        {},
        {patched.key: f"{tmp_path / 'fix.patch'}: {said}"},
    )


def test_an_interruption_waits_for_no_server(server: WebServer, tmp_path: Path) -> None:
    server.replies["/spam-1.0.tar.gz"] = Reply(body=BYTES, delay=20)
    began = time.monotonic()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        fetch_sources([action(f"{server.url}/spam-1.0.tar.gz")], tmp_path, SETTINGS)

    assert time.monotonic() - began < 5
    assert not list(tmp_path.rglob("*.part"))


def test_a_relative_url_is_of_a_file_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "plans/x.sources/spam 1-1.0.tar.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(BYTES)
    monkeypatch.chdir(tmp_path)
    made = action("file:x.sources/spam%201-1.0.tar.gz")
    made = replace(made, sdist=replace(made.sdist, filename="spam-1.0.tar.gz"))
    sources, lacking = fetch_sources([made], tmp_path / "cache", SETTINGS, Path("plans"))
    assert lacking == {}
    assert sources[made.key].sdist.read_bytes() == BYTES
