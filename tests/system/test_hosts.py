"""The hosts of these tests themselves: test runs side by side, and ones that were killed, cost each other nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tasks.workers.ssh import SshWorker
from tests.system.hosts import Host, make_host
from tests.system.ssh_stage import INSTANCE, eventually

ANOTHER_RUN = """
import time
from tests.system.hosts import make_host
with make_host() as host:
    print(host.number, max(host.processes()), host.folder, flush=True)
    time.sleep(600)
"""


def another_run() -> tuple[subprocess.Popen[str], int, int, Path]:
    """Start another test run with a host; return it, the host's number, one of its processes and its folder."""
    told = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.Popen([sys.executable, "-c", ANOTHER_RUN], env=told, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    number, pid, folder = run.stdout.readline().split()
    return run, int(number), int(pid), Path(folder)


def reached(host: Host) -> bool:
    """Whether a host is reached by ssh."""
    with SshWorker(host.instance(INSTANCE), host.machine) as worker:
        return bool(worker.root)


def test_a_host_of_a_living_run_is_left_alone_whatever_dies_beside_it(host: Host) -> None:
    numbers = set()
    for _ in range(2):  # the second takes the number that the first had
        run, number, pid, folder = another_run()
        numbers.add(number)
        assert number != host.number
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert Path(f"/proc/{pid}").exists()
        assert reached(host)

        with make_host() as next_host:
            assert next_host.number == number
            assert eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]
            assert not folder.exists()
            assert reached(next_host)
            assert reached(host)
    names = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout.split()
    assert not numbers & {int(name.rpartition("-")[2]) for name in names if name.startswith("spare-tire-")}


def test_a_number_is_free_again_when_its_host_has_gone(hosts: None) -> None:  # noqa: ARG001 - it comes first
    with make_host() as first, make_host() as second:
        numbers = [first.number, second.number]
        assert numbers[0] != numbers[1]
    with make_host() as third:
        assert third.number in numbers
