"""Builds on machines of core-ci: the real ansible-test asks a local service for them, which hands out a real host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.core.matrix import Instance
from tasks.core.plan import Plan
from tasks.core.targets import PythonTag
from tests.core_ci import NEVER, PASSWORD, USER, CoreCi
from tests.pipeline.commands import commands
from tests.system.hosts import make_host
from tests.system.ssh_stage import INSTANCE, WAIT, Build, eventually, quiet, spam, wheel_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.core.actions import Action
    from tests.system.hosts import Host

NAME = f"{INSTANCE},arch=x86_64"


@pytest.fixture(scope="module")
def remote(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    """Return the machine that the service hands out, as a new one each time."""
    with make_host() as turned_on:
        yield turned_on


@pytest.fixture
def service(remote: Host) -> Iterator[CoreCi]:
    with CoreCi(hosts={"x86_64": remote}) as started:
        yield started


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with credentials for the service, and a directory to work in."""

    folder: Path
    service: CoreCi

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def kept_track_of(self) -> list[Path]:
        """What visits have left for later ones."""
        return sorted(self.home.glob(".local/state/spare-tire/core-ci/*"))

    def plan(self, *actions: Action, name: str = INSTANCE, **changed: object) -> None:
        """Write a plan for machines of the service."""
        said = {"worker": "core-ci", "remote_provider": "aws", "remote_endpoint": self.service.endpoint, **changed}
        names = {name, *(each.instance for each in actions)}
        instances = {each: Instance.from_dict(each, said) for each in names}
        (self.folder / "build").mkdir(exist_ok=True)
        plan = Plan(matrix="0" * 64, instances=instances, actions=actions)
        (self.folder / "build/plan.json").write_bytes(plan.to_json())

    def build(self, *argv: str, instance: str = INSTANCE, **variables: str) -> Build:
        return Build(self.folder, *argv, instance=instance, HOME=str(self.home), **variables)


@pytest.fixture
def user(service: CoreCi, tmp_path: Path) -> User:
    made = User(folder=tmp_path, service=service)
    made.home.mkdir()
    (made.home / ".ansible-core-ci.key").write_text(f"{USER} {PASSWORD}\n")
    return made


def processes(folder: Path) -> list[int]:
    """Return the processes of ansible-test's that work in a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = path.readlink()
        except OSError:
            continue
        if where.is_relative_to(folder / "home"):
            found.append(int(path.parent.name))
    return found


def test_a_machine_is_started_built_on_and_given_back(user: User, service: CoreCi, remote: Host) -> None:
    each = spam(user.folder)
    user.plan(each)

    build = user.build()
    code, became = build.end()

    assert (code, became.get("spam", {}).get("outcome")) == (0, "built"), "\n".join(build.said)
    (asked,) = service.asked("PUT")
    config = {name: value for name, value in asked.body["config"].items() if name != "public_key"}
    assert config == {"type": "vm", "platform": "debian", "version": "12", "architecture": "x86_64"}
    assert asked.path.startswith("/prod/aws/")
    assert service.deleted == [asked.path.rpartition("/")[2]]
    assert service.running == {}
    assert user.kept_track_of == []
    assert processes(user.folder) == []
    assert quiet(remote)


def test_nothing_that_is_kept_tells_how_the_machine_was_reached(user: User, service: CoreCi, remote: Host) -> None:
    each = spam(user.folder)
    user.plan(each)

    build = user.build()

    assert build.end()[0] == 0, build.said
    record = json.loads((user.folder / f"dist/records/{wheel_of(each)}.json").read_text())
    assert record["predicate"]["runDetails"]["builder"]["id"] == "urn:spare-tire:worker:core-ci:1"
    told = b"".join(path.read_bytes() for path in user.folder.glob("dist/[rv]*/*")).decode()
    assert remote.address not in told
    (id_,) = service.deleted
    assert not any(secret in line for line in build.said for secret in (PASSWORD, id_))
