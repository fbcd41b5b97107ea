"""Builds on machines of core-ci: the real ansible-test asks a local service for them, which hands out a real host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.core.matrix import Instance
from tasks.core.plan import Plan
from tasks.core.targets import PythonTag
from tests.builds import action, make_sdist
from tests.core_ci import NEVER, PASSWORD, USER, CoreCi
from tests.pipeline.commands import commands
from tests.system.hosts import make_host
from tests.system.ssh_stage import INSTANCE, PYTHON, WAIT, Build, eventually, quiet, spam, wheel_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.core.actions import Action
    from tests.core_ci import Request
    from tests.pipeline.commands import Command
    from tests.system.hosts import Host

NAME = f"{INSTANCE},arch=x86_64"
SUDO = """\
apt-get update -q && apt-get install -q -y sudo
echo 'packager ALL=(ALL) NOPASSWD: ALL' >>/etc/sudoers
for kind in auth account session; do echo "$kind required pam_permit.so"; done | tee /etc/pam.d/sudo /etc/pam.d/sudo-i >/etc/pam.d/other
echo "127.0.0.1 $(uname -n)" >>/etc/hosts
touch /var/log/commands && chmod 666 /var/log/commands
"""
"""Lets the user of a host's that is not root become root."""


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


def processes(user: User) -> dict[int, str]:
    """Return what runs in the directories that visits keep track of: ansible-test, and what it has started."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (path / "cwd").readlink().is_relative_to(user.home):
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def id_of(request: Request) -> str:
    return request.path.rpartition("/")[2]


def settled(user: User) -> bool:
    """Whether every machine was given back and nothing is left to do."""
    service = user.service
    done = sorted(map(id_of, service.asked("PUT"))) == sorted(service.deleted) and service.running == {}
    return done and user.kept_track_of == [] and processes(user) == {}


# ── As it should be ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_machine_is_started_built_on_and_given_back(user: User, service: CoreCi, remote: Host) -> None:
    each = spam(user.folder)
    user.plan(each)
    known_hosts = Path("~root/.ssh/known_hosts").expanduser()
    known = known_hosts.read_bytes() if known_hosts.exists() else None

    build = user.build()
    code, became = build.end()

    assert (code, became["spam"]["outcome"]) == (0, "built"), build.said
    assert (known_hosts.read_bytes() if known_hosts.exists() else None) == known
    (asked,) = service.asked("PUT")
    config = {name: value for name, value in asked.body["config"].items() if name != "public_key"}
    assert config == {"type": "vm", "platform": "debian", "version": "12", "architecture": "x86_64"}
    assert asked.path.startswith("/prod/aws/")
    assert settled(user)
    assert quiet(remote)
    record = json.loads((user.folder / f"dist/records/{wheel_of(each)}.json").read_text())
    assert record["predicate"]["runDetails"]["builder"]["id"] == "urn:spare-tire:worker:core-ci:1"
    told = b"".join(path.read_bytes() for path in user.folder.glob("dist/[rv]*/*")).decode()
    assert remote.address not in told
    secrets = (PASSWORD, id_of(asked))  # who knows the id can stop the machine
    assert not any(secret in text for secret in secrets for text in (*build.said, told))


def test_where_the_user_there_may_become_root_root_builds(user: User, service: CoreCi, remote: Host) -> None:
    remote.run(SUDO)
    service.username = "packager"
    user.plan(spam(user.folder, before="assert os.getuid() == 0"))
    before = len(remote.log())

    build = user.build()

    assert build.end()[0] == 0, build.said
    accepted = [line.split()[3] for line in remote.log()[before:].splitlines() if line.startswith("Accepted publickey")]
    assert accepted[0] == "packager"
    assert accepted[-1] == "root"
    assert settled(user)


def test_the_interpreters_after_the_first_are_installed_where_the_platform_has_them(user: User, remote: Host) -> None:
    (remote.files / "etc/pip.conf").write_text("[global]\nextra-index-url = https://wheels.example/simple/\n")
    eggs = action(make_sdist(user.folder, "eggs"), python=PythonTag.parse("cp313"), instance=INSTANCE)
    user.plan(spam(user.folder), eggs)

    build = user.build()
    code, became = build.end()

    assert any("E: Unable to locate package python3.13-dev" in line for line in build.said), build.said
    assert (code, became["spam"]["outcome"], became["eggs"]["outcome"]) == (1, "built", "failed")
    assert not (remote.files / "etc/pip.conf").exists()  # ansible-test writes one on FreeBSD
    there = "no interpreter for cp313 on PATH; there are: cp311 (/usr/bin/python3.11); apt-get knows of no package that brings it"
    assert became["eggs"]["reason"] == f"{NAME}: {there}"


def test_two_runs_have_two_machines(user: User, service: CoreCi) -> None:
    with make_host() as other:
        service.hosts = {"x86_64": service.hosts["x86_64"], "debian/13": other}
        eggs = action(make_sdist(user.folder, "eggs"), python=PYTHON, instance="debian/13")
        user.plan(spam(user.folder), eggs)

        builds = [user.build(instance=name) for name in (INSTANCE, "debian/13")]

        assert [build.end()[0] for build in builds] == [0, 0], [build.said for build in builds]
        assert (quiet(other), other.connections() > 0) == (True, True)
    assert sorted(each.body["config"]["version"] for each in service.asked("PUT")) == ["12", "13"]
    assert settled(user)


def test_requests_may_be_signed_with_a_key_of_the_user(user: User, service: CoreCi) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", user.home / "key"], check=True)
    (user.home / ".ansible-core-ci.auth").write_text(f"{USER} ~/key\n")
    (user.home / ".ansible-core-ci.key").unlink()
    service.keys[USER] = (user.home / "key.pub").read_text()
    user.plan(spam(user.folder), remote_stage="dev")

    build = user.build()

    assert build.end()[0] == 0, build.said
    (asked,) = service.asked("PUT")
    assert (asked.body["type"], asked.path[:9]) == ("remote:ssh", "/dev/aws/")
    assert settled(user)


def test_an_instance_of_the_user_s_own_is_let_be(user: User, service: CoreCi) -> None:
    own = user.home / ".ansible/test/instances/debian-12-x86_64-target-aws-prod"
    own.parent.mkdir(parents=True)
    text = json.dumps({"instance_id": "00000000-0000-4000-8000-000000000000", "endpoint": service.endpoint})
    own.write_text(text)
    subprocess.run(["git", "init", "--quiet", user.home], check=True)  # a home may be a repository, which ignores most
    (user.home / ".gitignore").write_text("*\n")
    user.plan(spam(user.folder))

    assert user.build().end()[0] == 0

    assert own.read_text() == text
    assert settled(user)


# ── On Azure Pipelines ────────────────────────────────────────────────────────────────────────────────────────────────


class Agent:
    """What Azure's agent does for a step: it gives it variables, and obeys what the step prints."""

    def __init__(self, folder: Path, service: CoreCi) -> None:
        (folder / "agent").mkdir()
        self._service = service
        self.told: list[Command] = []
        self.variables = {
            "TF_BUILD": "True",
            "SYSTEM_COLLECTIONURI": "https://dev.azure.com/team/",
            "SYSTEM_TEAMPROJECT": "wheels",
            "SYSTEM_TASKINSTANCEID": "5c1ac9b5-3f5d-52a5-8a1a-0b8a3b0a5a11",
            "BUILD_BUILDID": "7",
            "AGENT_TEMPDIRECTORY": str(folder / "agent"),
        }

    def attend(self, build: Build) -> None:
        """Obey until the step ends."""
        assert build.process.stderr is not None
        for line in build.process.stderr:
            build.said.append(line.rstrip("\n"))
            for command in commands(line):
                self.told.append(command)
                if command.name == "task.addattachment":
                    key = self.variables["BUILD_BUILDID"], command.properties["name"]
                    self._service.attachments[key] = Path(command.value).read_text()


def test_on_azure_the_agent_s_own_variables_and_an_attachment_are_the_credentials(user: User, service: CoreCi) -> None:
    (user.home / ".ansible-core-ci.key").unlink()
    user.plan(spam(user.folder, before="print('##vso[task.setvariable variable=x]y')"))
    agent = Agent(user.folder, service)
    build = user.build(**agent.variables)

    agent.attend(build)

    assert build.end()[0] == 0, build.said
    (asked,) = service.asked("PUT")
    expected = {"type": "azp:ssh", "org_name": "team", "project_name": "wheels", "build_id": 7}
    assert {name: asked.body[name] for name in expected} == expected
    assert [each.name for each in agent.told] == ["task.addattachment", "task.uploadsummary"]
    assert agent.told[0].properties == {"type": "ansible-core-ci", "name": "public-key.pem"}
    assert settled(user)


def test_on_azure_what_ansible_test_prints_is_folded_around_the_builds(user: User, service: CoreCi) -> None:
    (user.home / ".ansible-core-ci.key").unlink()
    user.plan(spam(user.folder), spam(user.folder, "eggs"))
    agent = Agent(user.folder, service)
    build = user.build(**agent.variables)

    agent.attend(build)

    assert build.end()[0] == 0, build.said
    folds = [line for line in build.said if line.startswith(("##[group]", "##[endgroup]"))]
    ends = ["##[endgroup]"] * 4
    begins = [line for line in folds if line != ends[0]]
    assert folds[1::2] == ends
    assert begins[0] == f"##[group]starting {NAME} by ansible-test"
    assert sorted(begins[1:3]) == [f"##[group]{wheel_of(spam(user.folder, name))}" for name in ("eggs", "spam")]
    assert begins[3] == f"##[group]giving {NAME} back"
    first = build.said[build.said.index(begins[0]) : build.said.index(ends[0])]
    assert any("TASK [host : Hand the host over]" in line for line in first)


def test_a_step_with_two_visits_attaches_one_key(user: User, service: CoreCi, remote: Host) -> None:
    service.hosts = {"x86_64": remote, "aarch64": remote}  # whose second visit ends as soon as that is seen
    (user.home / ".ansible-core-ci.key").unlink()
    user.plan(spam(user.folder), replace(spam(user.folder, "eggs"), arch="aarch64"))
    agent = Agent(user.folder, service)
    build = user.build(**agent.variables)

    agent.attend(build)

    assert build.end()[0] == 0, build.said
    assert "##vso[task.complete result=SucceededWithIssues]" in build.said
    assert [each.status for each in service.asked("PUT")] == [200, 200]
    assert [each.name for each in agent.told].count("task.addattachment") == 1
    assert settled(user)


# ── Faults of the service ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_service_without_a_machine_says_so(user: User, service: CoreCi) -> None:
    service.refusals["PUT"] = (503, {"message": "all machines are taken"})
    user.plan(spam(user.folder))

    build = user.build()

    assert build.end()[0] == 3
    assert build.error == f"error: {NAME}: ansible-test gets no machine from core-ci: 503: all machines are taken"
    assert [(each.method, each.status) for each in service.requests] == [("PUT", 503)]
    assert user.kept_track_of == []


def test_a_service_that_does_not_know_the_user_says_so(user: User, service: CoreCi) -> None:
    (user.home / ".ansible-core-ci.key").write_text(f"{USER} another\n")
    user.plan(spam(user.folder))

    build = user.build()

    assert build.end()[0] == 3
    said = "401: Authentication failed; docs/core-ci.md says how to be let in"
    assert build.error == f"error: {NAME}: ansible-test gets no machine from core-ci: {said}"
    assert [(each.method, each.status) for each in service.requests] == [("PUT", 401)]
    assert user.kept_track_of == []
    assert "another" not in "".join(build.said)


def test_without_credentials_nobody_is_asked(user: User, service: CoreCi) -> None:
    (user.home / ".ansible-core-ci.key").unlink()
    user.plan(spam(user.folder))

    build = user.build()

    assert build.end()[0] == 2
    assert build.error == (
        f"error: {NAME}: there are no credentials for core-ci: neither ~/.ansible-core-ci.key nor "
        "~/.ansible-core-ci.auth is there; docs/core-ci.md says what they hold"
    )
    assert service.arrived == []


def test_a_machine_that_is_never_ready_is_waited_for_as_long_as_the_matrix_says(user: User, service: CoreCi) -> None:
    service.boot = NEVER
    user.plan(spam(user.folder), remote_timeout=4)

    build = user.build()

    assert build.end()[0] == 3
    said = "core-ci has no machine ready within 4 s; remote_timeout in the matrix gives it more time"
    assert build.error == f"error: {NAME}: {said}"
    assert settled(user)


def test_a_machine_with_another_processor_is_given_back(user: User, service: CoreCi, remote: Host) -> None:
    service.hosts = {"aarch64": remote}
    user.plan(replace(spam(user.folder), arch="aarch64"))

    build = user.build()

    assert build.end()[0] == 3
    said = "core-ci has handed out a host with the processor x86_64"
    assert build.error == f"error: {INSTANCE},arch=aarch64: {said}"
    assert settled(user)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the ansible-core of a later Python knows Python 3.14")
def test_an_interpreter_that_ansible_core_does_not_know_is_said_so(user: User, service: CoreCi) -> None:
    user.plan(action(make_sdist(user.folder), python=PythonTag.parse("cp314"), instance=INSTANCE))

    build = user.build()

    assert build.end()[0] == 2
    assert build.error == (
        f"error: {NAME}: ansible-core {metadata.version('ansible-core')} knows no Python 3.14 on a remote host, "
        "only 3.8, 3.9, 3.10, 3.11, 3.12, 3.13: run nox with a later Python, which gets a later one"
    )
    assert service.arrived == []


def test_a_machine_that_cannot_be_given_back_is_left_to_the_next_visit(user: User, service: CoreCi) -> None:
    service.refusals["DELETE"] = (503, {"message": "later"})
    user.plan(spam(user.folder))

    build = user.build()

    assert build.end()[0] == 0, build.said
    assert any(
        line == "warning: an instance could not be given back to core-ci: the server answers 503 Service Unavailable; "
        "the next visit to any core-ci instance tries again"
        for line in build.said
    )
    (left,) = service.running

    service.refusals.clear()
    user.plan(spam(user.folder, "eggs"))
    build = user.build()
    assert build.end()[0] == 0, build.said
    assert "warning: an instance that an earlier run had left was given back to core-ci" in build.said
    assert service.deleted[0] == left
    assert settled(user)


# ── Interruptions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def asking(service: CoreCi, build: Build) -> None:
    """A machine was asked for, and the service has not answered yet."""
    build.until("Initializing new")
    assert eventually(lambda: "PUT" in service.arrived)


def starting(service: CoreCi, build: Build) -> None:
    """The service has one that does not start."""
    build.until("Started ")
    assert eventually(lambda: "GET" in service.arrived)


def building(_service: CoreCi, build: Build) -> None:
    build.until("waiting")


PHASES = pytest.mark.parametrize("phase", [asking, starting, building], ids=lambda phase: phase.__name__)
Phase = Callable[[CoreCi, Build], None]


@PHASES
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_its_machine_back(
    user: User, service: CoreCi, remote: Host, number: int, phase: Phase
) -> None:
    user.plan(spam(user.folder, before=WAIT))
    service.slowness, service.boot = (2 if phase is asking else 0), (NEVER if phase is starting else 0)
    build = user.build()
    phase(service, build)
    assert service.deleted == []

    build.process.send_signal(number)

    assert build.end()[0] == 130, build.said
    assert settled(user), (service.requests, user.kept_track_of, processes(user))
    assert len(service.deleted) == 1
    assert quiet(remote)


def test_a_termination_right_after_an_interrupt_leaves_no_machine(user: User, service: CoreCi) -> None:
    user.plan(spam(user.folder))
    service.slowness = 2
    build = user.build()
    asking(service, build)

    build.process.send_signal(signal.SIGINT)
    time.sleep(0.3)  # as nox does, which takes a Ctrl-C for its own
    build.process.send_signal(signal.SIGTERM)

    assert build.end()[0] == 130, build.said
    assert settled(user), (service.requests, user.kept_track_of, processes(user))
    assert len(service.deleted) == 1


@PHASES
def test_where_everything_is_killed_the_next_run_gives_the_machine_back(
    user: User, service: CoreCi, phase: Phase
) -> None:
    user.plan(spam(user.folder, before=WAIT))
    service.slowness, service.boot = (2 if phase is asking else 0), (NEVER if phase is starting else 0)
    build = user.build()
    phase(service, build)

    for pid in (build.process.pid, *processes(user)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    build.process.communicate()
    assert eventually(lambda: len(service.running) == 1)
    (left,) = service.running

    service.slowness = service.boot = 0
    user.plan(spam(user.folder, "eggs"))
    build = user.build()
    assert build.end()[0] == 0, build.said
    assert "warning: an instance that an earlier run had left was given back to core-ci" in build.said
    assert service.deleted[0] == left
    assert settled(user)


def test_where_only_spare_tire_is_killed_ansible_test_gives_the_machine_back(user: User, service: CoreCi) -> None:
    user.plan(spam(user.folder, before=WAIT))
    build = user.build()
    building(service, build)

    build.process.kill()
    build.process.communicate()

    assert eventually(lambda: len(service.deleted) == 1)
    assert eventually(lambda: processes(user) == {})
