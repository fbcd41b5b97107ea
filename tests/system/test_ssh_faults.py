"""What goes wrong between this machine and a host: connections that break, hosts that vanish, or are not who they were."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import Failed
from tasks.core.plan import Plan
from tasks.workers.ssh import SshWorker
from tests.system.hosts import Host, make_host
from tests.system.ssh_stage import INSTANCE, WAIT, Build, eventually, quiet, spam, tries, wheel_of, write_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = 192 * 1024 * 1024
"""Bytes of a file that is under way for a while."""
OTHER = hashlib.sha256(b"other\n").hexdigest()


@pytest.fixture
def small(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    """Return a host with little room where builds run."""
    with make_host(tmp_size="12m") as turned_on:
        yield turned_on


def wheels(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("dist/wheels/*"))


# ── The connection is cut ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_upload_that_is_cut_is_begun_again(host: Host, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(LARGE))
    there: list[str] = []
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        sending = threading.Thread(target=lambda: there.append(worker.put(tmp_path / "large", "large")))
        sending.start()
        assert eventually(lambda: any(host.files.glob("tmp/spare-tire-0/files/*/*.part-*")))
        host.cut()
        sending.join()

        assert host.connections() == 2
        assert [path.name for path in host.files.glob("tmp/spare-tire-0/files/*/*")] == ["large"]
        worker.get(there[0], tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()


def test_a_download_that_is_cut_is_begun_again(host: Host, tmp_path: Path) -> None:
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        there = f"{worker.directory('output')}/large"
        host.run(f"head -c {LARGE} /dev/urandom >{there}")
        back = tmp_path / "back"
        fetching = threading.Thread(target=lambda: worker.get(there, back))
        fetching.start()
        assert eventually(lambda: back.exists() and back.stat().st_size > 0)
        host.cut()
        fetching.join()

        assert host.connections() == 2
        assert host.run(f"sha256sum <{there}").split()[0] == hashlib.sha256(back.read_bytes()).hexdigest()


def test_a_build_whose_connection_is_cut_runs_again_and_what_was_built_does_not(host: Host, tmp_path: Path) -> None:
    counted = 'open("/tmp/tries-" + NAME, "a").write("x")'
    first, slow = spam(tmp_path, before=counted), spam(tmp_path, "slow", before=WAIT, patient=1)
    write_plan(tmp_path, host.instance(INSTANCE), first, slow)
    build = Build(tmp_path, "--jobs=2")
    build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting", "built spam-1.0")

    assert host.cut() > 0

    code, became = build.end()
    assert code == 0, build.said
    assert {name: each["outcome"] for name, each in became.items()} == {"spam": "built", "slow": "built"}
    assert (tries(host, "spam"), tries(host, "slow"), host.connections()) == (1, 2, 2)
    assert quiet(host)


def test_a_wheel_that_was_finished_when_the_connection_was_lost_is_fetched(host: Host, tmp_path: Path) -> None:
    """The cable is out while the build ends, and the connection is gone when it is in again."""
    brief = WAIT + "while not os.path.exists('/tmp/go'): time.sleep(0.05)\n"
    each = spam(tmp_path, before=brief, patient=0)
    write_plan(tmp_path, host.instance(INSTANCE), each)
    build = Build(tmp_path)
    build.until(": waiting")

    host.plug(into=False)
    host.run("touch /tmp/go")
    assert eventually(lambda: any(host.files.glob("tmp/spare-tire-0/remote-visit-*/output/*/result.json")), 30)
    host.cut()
    host.plug(into=True)

    code, _ = build.end()
    assert code == 0, build.said
    assert any(
        line.endswith("spare-tire: the connection to the worker was lost, and is there again") for line in build.said
    )
    assert (tries(host, "spam"), wheels(tmp_path)) == (1, [wheel_of(each)])


def test_a_connection_that_is_lost_three_times_costs_what_is_not_built_yet(host: Host, tmp_path: Path) -> None:
    first, slow = spam(tmp_path), spam(tmp_path, "slow", before=WAIT, patient=9)
    write_plan(tmp_path, host.instance(INSTANCE), first, slow)
    build = Build(tmp_path, "--jobs=2")
    build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting", "built spam-1.0")
    host.cut()
    for _ in range(2):
        build.until(": waiting")
        host.cut()

    code, became = build.end()

    assert (code, became["spam"]["outcome"], became["slow"]["outcome"]) == (1, "built", "failed")
    assert became["slow"]["reason"] == f"debian/12,arch=x86_64: the connection to {host.address} was lost 3 times"
    assert host.connections() == 3
    assert wheels(tmp_path) == [wheel_of(first)]
    assert eventually(lambda: quiet(host))


def test_a_host_that_vanishes_and_does_not_come_back_costs_only_what_was_not_built(host: Host, tmp_path: Path) -> None:
    first, slow = spam(tmp_path), spam(tmp_path, "slow", before=WAIT, patient=9)
    write_plan(tmp_path, host.instance(INSTANCE), first, slow)
    build = Build(tmp_path, "--jobs=2")
    build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting", "built spam-1.0")

    host.vanish()

    code, became = build.end()
    assert (code, became["spam"]["outcome"], became["slow"]["outcome"]) == (1, "built", "failed")
    lost = f"debian/12,arch=x86_64: the connection to {host.address} was lost, and does not come back: "
    assert became["slow"]["reason"].startswith(lost)
    assert wheels(tmp_path) == [wheel_of(first)]


def test_a_host_that_vanishes_costs_what_had_not_begun_there_and_no_other_host(host: Host, tmp_path: Path) -> None:
    slow, waiting = spam(tmp_path, "slow", before=WAIT, patient=9), spam(tmp_path, "waiting")
    elsewhere = spam(tmp_path, "elsewhere")
    actions = (replace(slow, arch="i686"), replace(waiting, arch="i686"), elsewhere)
    with make_host() as other:
        instances = [host.instance(f"{INSTANCE},arch=i686"), other.instance(f"{INSTANCE},arch=x86_64")]
        plan = Plan(matrix="0" * 64, instances={each.name: each for each in instances}, actions=actions)
        (tmp_path / "build").mkdir()
        (tmp_path / "build/plan.json").write_bytes(plan.to_json())
        build = Build(tmp_path, "--jobs=1", f"--junit={tmp_path}/results.xml")
        build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting")

        host.vanish()

        code, became = build.end()
    outcomes = {name: each["outcome"] for name, each in became.items()}
    assert (code, outcomes) == (1, {"elsewhere": "built", "slow": "failed", "waiting": "failed"})
    lost = f"debian/12,arch=i686: the connection to {host.address} was lost, and does not come back: "
    assert became["waiting"]["reason"] == became["slow"]["reason"]
    assert became["slow"]["reason"].startswith(lost)
    assert wheels(tmp_path) == [wheel_of(elsewhere)]
    assert (tmp_path / "results.xml").read_text().count("<testcase ") == 3


def test_a_host_that_comes_back_without_its_files_costs_only_what_was_not_built(host: Host, tmp_path: Path) -> None:
    """As one that restarts does whose directory for temporary files is in memory."""
    first, slow = spam(tmp_path), spam(tmp_path, "slow", before=WAIT, patient=9)
    write_plan(tmp_path, host.instance(INSTANCE), first, slow)
    build = Build(tmp_path, "--jobs=2")
    build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting", "built spam-1.0")

    host.run("rm -rf /tmp/spare-tire-0")
    host.cut()

    code, became = build.end()
    assert (code, became["spam"]["outcome"], became["slow"]["outcome"]) == (1, "built", "failed")
    lost = (
        f"debian/12,arch=x86_64: the connection to {host.address} was lost, and comes back without what was sent there"
    )
    assert became["slow"]["reason"] == lost
    assert wheels(tmp_path) == [wheel_of(first)]
    assert eventually(lambda: quiet(host))


def test_a_host_that_comes_back_as_another_is_refused(host: Host, tmp_path: Path) -> None:
    first, slow = spam(tmp_path), spam(tmp_path, "slow", before=WAIT, patient=9)
    write_plan(tmp_path, host.instance(INSTANCE), first, slow)
    build = Build(tmp_path, "--jobs=2")
    build.until("slow-1.0-cp311-cp311-linux_x86_64.whl: waiting", "built spam-1.0")

    host.change_key()

    code, became = build.end()
    assert (code, became["spam"]["outcome"], became["slow"]["outcome"]) == (4, "built", "refused")
    found = host.run("ssh-keygen -l -f /etc/ssh/host_key").split()[1]
    assert became["slow"]["reason"] == (
        f"debian/12,arch=x86_64: the connection to {host.address} was lost, "
        f"and the host key of {host.address} ({found}) is not one that the matrix has: "
        "it is another host, or has a new key; "
        "compare the key's fingerprint on the host itself before you change host_key or known_hosts"
    )
    assert wheels(tmp_path) == [wheel_of(first)]


# ── The visit is being ended ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_sent_does_not_delay_the_end(host: Host, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(20 * LARGE)
    raised: list[str] = []
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:

        def send() -> None:
            with pytest.raises(Failed) as caught:
                worker.put(tmp_path / "large", "large")
            raised.append(str(caught.value))

        sending = threading.Thread(target=send)
        sending.start()
        assert eventually(lambda: any(host.files.glob("tmp/spare-tire-0/files/*/*.part-*")), 60)
        worker.stop()
        sending.join(5)
        assert raised == [f"debian/12,arch=x86_64: the host {host.address} cannot store large: exit code -9"]


def connecting(build: Build) -> list[int]:
    """Return the process of a build that makes or holds a connection."""
    found = subprocess.run(
        ["pgrep", "--parent", str(build.process.pid), "--full", "exec sh -s"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]


def test_a_host_that_is_coming_back_does_not_delay_the_end(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path, before=WAIT, patient=9))
    build = Build(tmp_path)
    build.until(": waiting")
    host.plug(into=False)
    (first,) = connecting(build)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: connecting(build) not in ([], [first]))
    since = time.monotonic()

    build.process.send_signal(signal.SIGINT)

    assert build.end()[0] == 130
    assert time.monotonic() - since < 8  # ssh alone would wait for 15 s
    assert list(tmp_path.glob("dist/logs/*")) == []


# ── There is no connection at all ─────────────────────────────────────────────────────────────────────────────────────


def test_a_host_whose_key_has_changed_is_refused(host: Host, tmp_path: Path) -> None:
    instance = host.instance(INSTANCE)
    host.change_key()
    found = host.run("ssh-keygen -l -f /etc/ssh/host_key").split()[1]
    write_plan(tmp_path, instance, spam(tmp_path))
    build = Build(tmp_path)

    assert build.end() == (4, {})

    assert build.error == (
        f"error: debian/12,arch=x86_64: the host key of {host.address} ({found}) is not one that the matrix has: "
        "it is another host, or has a new key; "
        "compare the key's fingerprint on the host itself before you change host_key or known_hosts"
    )
    assert host.connections() == 0


def test_a_host_that_the_user_does_not_know_is_refused(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE, host_key=None), spam(tmp_path))
    build = Build(tmp_path)

    assert build.end() == (4, {})

    assert build.error.startswith(
        f"error: debian/12,arch=x86_64: the host key of {host.address} is not one that your known_hosts has"
    )


def test_a_key_that_the_host_does_not_take_is_a_failed_service(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE, identity_file=str(host.folder / "host_key")), spam(tmp_path))
    build = Build(tmp_path)

    assert build.end() == (3, {})

    assert build.error == (
        f"error: debian/12,arch=x86_64: {host.address} cannot be reached by ssh: "
        f"root@{host.address}: Permission denied (publickey,keyboard-interactive).; "
        "it takes none of the keys that the agent, identity_file or your ssh configuration offer"
    )


@pytest.mark.parametrize("what", ["nothing", "."])
def test_a_key_that_is_no_file_is_named(host: Host, tmp_path: Path, what: str) -> None:
    key = str(tmp_path / what)
    write_plan(tmp_path, host.instance(INSTANCE, identity_file=key), spam(tmp_path))

    build = Build(tmp_path)

    assert build.end()[0] == 3
    assert build.error.endswith(f" configuration offer; {key}, the identity_file, is not a file here")


def test_a_host_that_is_not_there_is_a_failed_service(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE, port=23), spam(tmp_path))
    build = Build(tmp_path)

    assert build.end() == (3, {})

    assert build.error == (
        f"error: debian/12,arch=x86_64: {host.address} cannot be reached by ssh: "
        f"ssh: connect to host {host.address} port 23: Connection refused"
    )


def test_a_host_with_another_processor_is_found_out_before_anything_is_built(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE), replace(spam(tmp_path), arch="aarch64"))
    build = Build(tmp_path)

    assert build.end() == (2, {})

    assert build.error == (
        f"error: debian/12,arch=aarch64: the host {host.address} has the processor x86_64, expected aarch64: "
        "name another host in the matrix, or declare this one as debian/12,arch=x86_64"
    )
    assert [command for command in host.commands() if " store " in command or " run " in command] == []


# ── The host lacks something ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_disk_that_the_sdist_does_not_fit_on_is_a_failed_service(small: Host, tmp_path: Path) -> None:
    each = spam(tmp_path, before=f"pass  # {os.urandom(12 * 1024 * 1024).hex()}")
    write_plan(tmp_path, small.instance(INSTANCE), each)
    build = Build(tmp_path)

    assert build.end() == (3, {})

    assert build.error == (
        f"error: debian/12,arch=x86_64: the host {small.address} cannot store spam-1.0.tar.gz: "
        "cat: write error: No space left on device"
    )
    assert small.run("ls /tmp/spare-tire-0").split() == ["files"]


def test_a_disk_that_a_build_fills_costs_that_build(small: Host, tmp_path: Path) -> None:
    fill = "with open('filler', 'wb') as file:\n    file.write(b'x' * (20 << 20))"
    write_plan(tmp_path, small.instance(INSTANCE), spam(tmp_path, before=fill), spam(tmp_path, "eggs"))
    build = Build(tmp_path, "--jobs=1")

    code, became = build.end()

    assert (code, became["eggs"]["outcome"]) == (1, "built")
    assert became["spam"]["reason"] == "the build failed: the disk is full (No space left on device)"


def test_a_disk_that_an_environment_does_not_fit_on_is_said_to_be_full_also_without_uv(
    hosts: None,  # noqa: ARG001 - it comes first
    tmp_path: Path,
) -> None:
    with make_host(tmp_size="4m", with_uv=False) as host:
        write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path))
        code, became = Build(tmp_path).end()
    assert code == 1
    assert became["spam"]["reason"] == (
        "/usr/bin/python3.11 cannot make an environment: the disk is full (No space left on device)"
    )


def test_an_interpreter_without_ensurepip_is_named_where_there_is_no_uv(
    hosts: None,  # noqa: ARG001 - it comes first
    tmp_path: Path,
) -> None:
    with make_host(with_uv=False) as host:
        host.run("rm -r /usr/lib/python3.11/ensurepip")
        write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path))
        code, became = Build(tmp_path).end()
    assert code == 1
    assert became["spam"]["reason"] == (
        "/usr/bin/python3.11 cannot make an environment: it has no ensurepip: install the system's python3-venv, or uv"
    )


def test_a_compiler_that_is_missing_is_named(host: Host, tmp_path: Path) -> None:
    host.run("rm /usr/bin/cc /usr/bin/*gcc*")
    compiles = "subprocess.run(['cc', '-c', 'x.c'], check=True)"
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path, before=compiles))

    code, became = Build(tmp_path).end()

    assert code == 1
    assert became["spam"]["reason"] == (
        "the build failed: FileNotFoundError: [Errno 2] No such file or directory: 'cc' "
        "(no C compiler is there: looked for x86_64-linux-gnu-gcc and cc and gcc and clang on PATH; install one, gcc or clang)"
    )


# ── What the far side does, whoever asks ──────────────────────────────────────────────────────────────────────────────


def test_a_host_that_is_silent_for_long_is_gone_on_with_and_what_it_did_before_harms_nobody(
    host: Host, tmp_path: Path
) -> None:
    """The first connection's sshd is stopped, and hears only later that nobody is there."""
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path, before=WAIT, patient=2))
    build = Build(tmp_path)
    build.until(": waiting")
    stopped = [pid for pid, command in host.processes().items() if command.startswith("sshd: root")]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    build.until(": waiting")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: not set(stopped) & set(host.processes()), 30)
    time.sleep(1)
    (host.files / "tmp/tries-spam").write_text("xxx")  # the second build may end now

    code, _ = build.end()

    assert code == 0, build.said
    assert tries(host, "spam") == 3
    assert host.connections() == 2


def test_what_arrives_there_with_another_digest_is_not_kept(host: Host) -> None:
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        agent = f"{PurePosixPath(worker.put(b'text', 'file')).parent}/agent.sh"
        answer = host.run(f"echo other | sh {agent} store {'0' * 64} spam.tar.gz 2>&1; echo $?").splitlines()
        assert answer == [f"it arrived with the sha256 {OTHER}", "4"]
        assert list(host.files.glob("tmp/spare-tire-0/files/*/*")) == []


def test_what_arrives_here_with_another_digest_is_not_taken(host: Host, tmp_path: Path) -> None:
    back, raised = tmp_path / "back", []
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        there = f"{worker.directory('output')}/large"
        host.run(f"head -c {LARGE} /dev/urandom >{there}")

        def fetch() -> None:
            with pytest.raises(Failed) as caught:
                worker.get(there, back)
            raised.append(str(caught.value))

        fetching = threading.Thread(target=fetch)
        fetching.start()
        assert eventually(lambda: back.exists() and back.stat().st_size > 0)
        host.run(f"echo more >>{there}")
        fetching.join()
    assert raised[0].startswith(f"{there} arrived with the sha256 ")


def test_what_nobody_came_back_to_is_removed_and_what_somebody_uses_is_not(host: Host) -> None:
    """A ``visit-*`` there is a ``local`` one, of the same user, which has a lock of its own."""
    root = "/tmp/spare-tire-0"  # noqa: S108 - the host's
    visits, files = f"{root}/remote-visit-", f"{root}/files/"
    host.run(f"mkdir -m 700 {root}; mkdir {visits}old {visits}long {visits}new {root}/visit-local")
    host.run(f"mkdir -p {files}old {files}new; echo 999999 >{visits}old/keeper; echo 1 >{visits}long/keeper")
    host.run(f"touch -d '3 hours ago' {visits}old {visits}long {root}/visit-local; touch -d '15 days ago' {files}old")
    host.run(f"touch -d '110 minutes ago' {visits}new; touch -d '13 days ago' {files}new")

    with SshWorker(host.instance(INSTANCE), "x86_64"):
        pass

    left = ["files", "remote-visit-long", "remote-visit-new", "visit-local"]
    assert host.run(f"ls {root}").split() == left
    assert host.run(f"ls {files}").split() == ["new"]


def test_as_many_builds_as_sshd_takes_sessions_for_run_side_by_side(host: Host) -> None:
    """Beside them there are transfers; each build waits for all others, so fewer would not end."""
    meet = 'touch "$0-$1"; while [ "$(ls "$0"-* | wc -l)" -lt "$2" ]; do sleep 0.05; done'
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        most = worker.jobs(50)
        at = f"{worker.directory('meet')}/at"
        runs = [worker.start(["sh", "-c", meet, at, str(n), str(most)], lambda _: None) for n in range(most)]
        ends: list[int] = []
        waiting = [threading.Thread(target=lambda each=each: ends.append(each.wait().returncode)) for each in runs]
        sending = [threading.Thread(target=worker.put, args=(b"x" * n, f"file-{n}")) for n in range(8)]
        for thread in (*waiting, *sending):
            thread.start()
        for thread in (*waiting, *sending):
            thread.join(60)
        assert (most, ends) == (6, [0] * 6)
    assert host.connections() == 1
