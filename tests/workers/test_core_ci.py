"""What a lease does before there is a machine: the real ansible-test runs, and is let in nowhere."""

from __future__ import annotations

import os
import socket
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from tasks import build
from tasks.console import Console
from tasks.core.errors import BadInput, ServiceFailed
from tasks.core.matrix import Instance
from tasks.core.targets import PythonTag
from tasks.progress import Aside
from tasks.scratch import scratch
from tasks.workers.core_ci import Lease
from tests.core_ci import PASSWORD, USER, CoreCi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHONS = (PythonTag.parse("cp311"),)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials."""
    for name in ("XDG_STATE_HOME", "SYSTEM_COLLECTIONURI", "ANSIBLE_TEST_GHA_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def service() -> Iterator[CoreCi]:
    with CoreCi(hosts={}) as started:
        yield started


def nowhere() -> str:
    """Return the address of a service that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def lease(endpoint: str | None = None) -> Lease:
    instance = Instance(name="debian/12", worker="core-ci", remote_provider="aws", remote_endpoint=endpoint)
    return Lease(instance, "x86_64", PYTHONS, Aside(Console(), {}))


def enter_in_vain() -> None:
    """Enter a lease that finds no credentials, once it has looked at what others have left."""
    with pytest.raises(BadInput, match="there are no credentials for core-ci"):
        lease().__enter__()


def leave(home: Path, endpoint: str) -> Path:
    """Leave a visit's directory as one that was killed does; return it."""
    left = home / ".local/state/spare-tire/core-ci/visit-left"
    left.mkdir(parents=True)
    left.parent.chmod(0o700)
    left.with_suffix(".lock").touch()
    (left / "instance").write_text(f"{endpoint}/prod/aws/{uuid.UUID(int=4, version=4)}")
    return left


def test_an_instance_that_was_left_is_given_back(
    home: Path, service: CoreCi, capsys: pytest.CaptureFixture[str]
) -> None:
    left = leave(home, service.endpoint)
    service.running[str(uuid.UUID(int=4, version=4))] = (None, 0.0)

    enter_in_vain()

    assert service.running == {}
    assert list(left.parent.iterdir()) == []
    said = "warning: an instance that an earlier run had left was given back to core-ci"
    assert said in capsys.readouterr().err.splitlines()


def test_one_that_is_gone_already_needs_no_giving_back(home: Path, service: CoreCi) -> None:
    left = leave(home, service.endpoint)

    enter_in_vain()

    assert [(each.method, each.status) for each in service.requests] == [("DELETE", 404)]
    assert list(left.parent.iterdir()) == []


def test_the_instance_of_a_visit_that_goes_on_is_let_be(home: Path, service: CoreCi) -> None:
    parent = leave(home, service.endpoint).parent
    (parent / "visit-left.lock").unlink()
    with scratch(parent, "visit-") as going_on:
        (going_on / "instance").write_text(f"{service.endpoint}/prod/aws/{uuid.uuid4()}")

        enter_in_vain()

        assert service.requests == []
        assert (going_on / "instance").exists()


def test_one_that_cannot_be_given_back_is_tried_again_for_a_day(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = leave(home, nowhere())
    said = "warning: an instance could not be given back to core-ci: the server cannot be reached: Connection refused; "

    enter_in_vain()
    assert f"{said}the next visit to any core-ci instance tries again" in capsys.readouterr().err.splitlines()
    assert left.exists()

    day = time.time() - 25 * 3600
    os.utime(left / "instance", (day, day))
    enter_in_vain()
    assert f"{said}it is a day old, and given up" in capsys.readouterr().err.splitlines()
    assert not left.exists()


def test_what_was_left_is_given_back_without_a_visit(
    home: Path, service: CoreCi, capsys: pytest.CaptureFixture[str]
) -> None:
    left = leave(home, service.endpoint)
    service.running[str(uuid.UUID(int=4, version=4))] = (None, 0.0)

    assert build.main(["--give-back"]) == 0
    assert service.running == {}
    assert list(left.parent.iterdir()) == []
    said = "warning: an instance that an earlier run had left was given back to core-ci"
    assert capsys.readouterr().err.splitlines() == [said]

    assert build.main(["--give-back"]) == 0
    assert len(service.requests) == 1


def test_where_nothing_ever_was_noted_nothing_is_given_back_nor_made(home: Path) -> None:
    assert build.main(["--give-back"]) == 0
    assert list(home.iterdir()) == []


def test_what_is_not_taken_back_is_a_failed_service(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = leave(home, nowhere())

    assert build.main(["--give-back"]) == 3
    assert left.exists()
    last = "error: there is a machine that core-ci did not take back: its own time limit ends it"
    assert capsys.readouterr().err.splitlines()[-1] == last


def test_giving_back_builds_nothing(home: Path, service: CoreCi, capsys: pytest.CaptureFixture[str]) -> None:
    leave(home, service.endpoint)

    assert build.main(["--give-back", "local"]) == 2
    assert capsys.readouterr().err == "error: --give-back builds nothing: leave out local\n"
    assert service.requests == []


def test_notes_that_others_may_read_are_not_acted_upon(
    home: Path, service: CoreCi, capsys: pytest.CaptureFixture[str]
) -> None:
    state = leave(home, service.endpoint).parent
    state.chmod(0o755)

    assert build.main(["--give-back"]) == 2
    said = (
        f"what earlier visits have left cannot be looked at: {state} is not a directory of this user alone (mode 0700)"
    )
    assert capsys.readouterr().err == f"error: {said}\n"
    assert service.requests == []


def test_a_service_that_is_not_there_is_said_so(home: Path) -> None:
    (home / ".ansible-core-ci.key").write_text(f"{USER} {PASSWORD}\n")

    with pytest.raises(ServiceFailed) as raised:
        lease(nowhere()).__enter__()

    said = "ansible-test gets no machine from core-ci: URLError: <urlopen error [Errno 111] Connection refused>"
    assert str(raised.value) == f"debian/12,arch=x86_64: {said}"


def test_the_environment_names_service_and_stage(home: Path, service: CoreCi, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".ansible-core-ci.key").write_text(f"{USER} {PASSWORD}\n")
    service.refusals["PUT"] = (503, {"message": "full"})
    monkeypatch.setenv("SPARE_TIRE_REMOTE_ENDPOINT", service.endpoint)
    monkeypatch.setenv("SPARE_TIRE_REMOTE_STAGE", "dev")

    with pytest.raises(ServiceFailed, match="503: full"):
        lease(nowhere()).__enter__()

    (asked,) = service.asked("PUT")
    assert asked.path.startswith("/dev/aws/")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ENDPOINT", "http://ci.example", "a URL that begins with https://, or http:// on loopback"),
        ("ENDPOINT", "https://me:secret@ci.example", "a URL that begins with https://, or http:// on loopback"),
        ("STAGE", "test", "one of dev, prod"),
    ],
)
def test_a_variable_that_names_neither_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"SPARE_TIRE_REMOTE_{variable}", value)

    with pytest.raises(BadInput) as raised:
        lease()

    shown = value.replace("me:secret@", "")
    assert str(raised.value) == f"SPARE_TIRE_REMOTE_{variable} is {shown}, expected {expected}"


@pytest.mark.parametrize("text", [b"", b"me", b"me ~nobody-has-this-name/key", b"\xff key"])
def test_credentials_that_are_none_are_bad_input(home: Path, service: CoreCi, text: bytes) -> None:
    (home / ".ansible-core-ci.auth").write_bytes(text)

    with pytest.raises(BadInput) as raised:
        lease(service.endpoint).__enter__()

    said = f"{home}/.ansible-core-ci.auth: expected USER KEYFILE in one line of UTF-8, as docs/core-ci.md says"
    assert str(raised.value) == said
    assert service.requests == []


def test_credentials_that_cannot_be_read_are_bad_input(home: Path, service: CoreCi) -> None:
    (home / ".ansible-core-ci.auth").mkdir()

    with pytest.raises(BadInput, match=r"\.ansible-core-ci\.auth: Is a directory: expected USER KEYFILE in one line"):
        lease(service.endpoint).__enter__()


def test_notes_that_others_may_read_are_refused(home: Path, service: CoreCi) -> None:
    state = leave(home, service.endpoint).parent
    state.chmod(0o755)

    with pytest.raises(BadInput) as raised:
        lease().__enter__()

    said = f"{state} is not a directory of this user alone (mode 0700)"
    assert str(raised.value) == f"no instance can be kept track of: {said}; XDG_STATE_HOME names another place"
    assert service.requests == []
