"""Builds on a host that is reached by ssh: a real one, with an sshd, a file system and processes of its own."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.core.matrix import Rules
from tasks.core.targets import PythonTag
from tests.system.ssh_stage import INSTANCE, WAIT, Build, eventually, quiet, spam, tries, wheel_of, write_plan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.hosts import Host


def test_a_wheel_is_built_there_and_its_record_tells_no_secrets(host: Host, tmp_path: Path) -> None:
    each = spam(tmp_path)
    write_plan(tmp_path, host.instance(INSTANCE), each)

    code, became = Build(tmp_path).end()

    assert (code, became["spam"]["outcome"]) == (0, "built")
    record = json.loads((tmp_path / f"dist/records/{wheel_of(each)}.json").read_text())
    assert record["predicate"]["runDetails"]["builder"]["id"] == "urn:spare-tire:worker:ssh:1"
    told = b"".join(path.read_bytes() for path in tmp_path.glob("dist/[rv]*/*")).decode()
    assert INSTANCE in told
    instance = host.instance(INSTANCE)
    assert [
        secret
        for secret in (host.address, instance.identity_file, *(instance.host_key or ()))
        if secret and secret in told
    ] == []


def test_a_visit_makes_one_connection_and_leaves_nothing_but_files_for_the_next(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE), *(spam(tmp_path, name) for name in ("spam", "eggs", "ham")))

    assert Build(tmp_path).end()[0] == 0

    assert host.connections() == 1
    assert quiet(host)
    assert host.run("ls /tmp/spare-tire-0").split() == ["files"]


def test_only_what_the_host_lacks_is_sent(host: Host, tmp_path: Path) -> None:
    each = spam(tmp_path)
    write_plan(tmp_path, host.instance(INSTANCE), each)
    assert Build(tmp_path).end()[0] == 0
    stored = [command.split()[-1] for command in host.commands() if " store " in command]
    assert sorted(stored) == ["helper.py", "spam-1.0.tar.gz"]

    write_plan(tmp_path, host.instance(INSTANCE), replace(each, rules=Rules(env={"OTHER": "1"})))  # the same sdist
    before = len(host.commands())
    assert Build(tmp_path).end()[0] == 0

    connected, *sessions = host.commands()[before:]
    assert connected == "exec sh -s"
    assert " ".join(command.split()[3] for command in sessions) == "lacking write run make write run fetch fetch"


def test_a_file_that_was_damaged_there_is_sent_again(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path))
    assert Build(tmp_path).end()[0] == 0
    (tmp_path / "dist/records").rename(tmp_path / "elsewhere")
    host.run("for file in /tmp/spare-tire-0/files/*/*.tar.gz; do printf x >>$file; done")

    assert Build(tmp_path).end()[0] == 0

    stored = [command.split()[-1] for command in host.commands() if " store " in command]
    assert sorted(stored) == ["helper.py", "spam-1.0.tar.gz", "spam-1.0.tar.gz"]


def test_a_line_is_seen_within_a_second(host: Host, tmp_path: Path) -> None:
    """The host's clock is this machine's."""
    say = "for _ in range(8):\n    print('now', time.time(), flush=True)\n    time.sleep(0.25)"
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path, before=say))
    build = Build(tmp_path)
    late = []
    for _ in range(8):
        build.until(": now ")
        late.append(time.time() - float(build.said[-1].rpartition(" ")[2]))

    assert build.end()[0] == 0
    assert max(late) < 1


def test_an_interpreter_that_is_missing_is_told_from_those_that_are_there(host: Host, tmp_path: Path) -> None:
    missing = PythonTag.parse("cp39")
    each = spam(tmp_path)
    each = replace(each, python=missing, wheel=replace(each.wheel, interpreter="cp39", abi="cp39"))
    write_plan(tmp_path, host.instance(INSTANCE), each)

    code, became = Build(tmp_path).end()

    assert code == 1
    assert became["spam"]["reason"] == (
        "debian/12,arch=x86_64: no interpreter for cp39 on PATH; there are: cp311 (/usr/bin/python3.11); "
        "apt-get knows of no package that brings it"
    )


# ── Whoever ends it ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_visit_leaves_nothing_running_there(host: Host, tmp_path: Path, number: signal.Signals) -> None:
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path, before=WAIT, patient=1))
    build = Build(tmp_path)
    build.until(": waiting")

    build.process.send_signal(number)

    assert build.end(60)[0] == 130
    assert eventually(lambda: quiet(host), 2)
    assert host.run("ls /tmp/spare-tire-0").split() == ["files"]
    assert Build(tmp_path).end()[0] == 0
    assert tries(host, "spam") == 2


def test_a_killed_controller_takes_its_builds_along_and_a_rerun_goes_on(host: Host, tmp_path: Path) -> None:
    first, slow = spam(tmp_path), spam(tmp_path, "slow", before=WAIT, patient=1)
    write_plan(tmp_path, host.instance(INSTANCE), first, slow)
    build = Build(tmp_path, "--jobs=2")
    build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting", "built spam-1.0")

    build.process.kill()

    build.process.communicate(timeout=10)
    assert eventually(lambda: quiet(host))
    code, became = Build(tmp_path).end()
    assert code == 0
    assert {name: each["outcome"] for name, each in became.items()} == {"spam": "kept", "slow": "built"}
    assert len([command for command in host.commands() if " store " in command]) == 3  # the rerun sent nothing


def test_two_controllers_do_not_meet_on_one_host(host: Host, tmp_path: Path) -> None:
    pause = "print('pausing', flush=True); time.sleep(1.5)"
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write_plan(folder, host.instance(INSTANCE), spam(tmp_path, before=pause), spam(tmp_path, "eggs"))

    builds = [Build(folder) for folder in folders]

    assert [build.end()[0] for build in builds] == [0, 0]
    made = [{path.name: path.read_bytes() for path in folder.glob("dist/wheels/*")} for folder in folders]
    assert len(made[0]) == 2
    assert made[0] == made[1]
    assert host.run("ls /tmp/spare-tire-0").split() == ["files"]
