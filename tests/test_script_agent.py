"""What a host that is reached by ssh reads, run here: by each of this machine's shells, without any ssh."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.workers.bootstrap import fact
from tasks.workers.ssh import opening
from tasks.workers.ssh_client import READY
from tests.scripts import SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST = hashlib.sha256(b"data").hexdigest()


class Far:
    """The far side of a connection: the shell that listens, and others that do as they are told."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self._bin = folder / "bin"
        self._bin.mkdir()
        self.add("sh", f'exec {shlex.join([shutil.which(shell[0]) or "", *shell[1:]])} "$@"')
        self._variables = {"PATH": f"{self._bin}:/usr/bin:/bin", "TMPDIR": str(folder)}
        self.root = folder / f"spare-tire-{os.geteuid()}"
        self.visit = self.root / "remote-visit-1"

    def add(self, name: str, script: str) -> Path:
        """Add a program to its ``PATH``."""
        (self._bin / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (self._bin / name).chmod(0o755)
        return self._bin / name

    def listen(self, *pythons: str, greeting: str = "") -> list[str]:
        """Connect; return what it says before it is ready. A login shell may have printed something before."""
        self.keeper = self._start("-s")
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.write(f"printf %s '{greeting}'\n{opening('remote-visit-1', pythons)}")
        self.keeper.stdin.flush()
        return list(iter(lambda: self._line_of(self.keeper), READY))

    def tell(self, *words: str, said: str = "") -> tuple[int, str, str]:
        """Have it do something; return the exit code and both outputs."""
        done = self._start(str(self.visit / "agent.sh"), *words)
        out, err = done.communicate(said, timeout=20)
        return done.returncode, out, err

    def begin(self, script: str) -> tuple[subprocess.Popen[str], str]:
        """Begin to run a program there, in a session of its own as sshd does; return it with the first line it says."""
        running = self._start(str(self.visit / "agent.sh"), "run", "1", "sh", "-c", script)
        threading.Thread(target=running.wait, daemon=True).start()  # its end is seen at once, as sshd sees it
        return running, self._line_of(running)

    def hang_up(self, said: str = "") -> None:
        """End the connection."""
        self.keeper.communicate(said, timeout=20)

    def _line_of(self, program: subprocess.Popen[str]) -> str:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line.endswith("\n"), line
        return line[:-1]

    def _start(self, *argv: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self._bin / "sh", *argv],
            env=self._variables,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )


def ended(program: subprocess.Popen[str]) -> bool:
    """Whether a program ends soon, and not well."""
    program.communicate(timeout=10)
    return program.returncode != 0


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Far]:
    """Return a far side with each of the shells, one after the other."""
    side = Far(tmp_path, request.param)
    yield side
    side.hang_up()


def facts(lines: list[str]) -> dict[str, str]:
    return dict(found for line in lines if (found := fact(line)))


def test_it_says_what_it_is(far: Far) -> None:
    said = facts(far.listen(sys.executable))
    assert said.keys() == {"root", "system", "machine", "path", "processors", "uv", "bwrap", "python"}
    assert (said["root"], said["system"], said["machine"]) == (str(far.root), os.uname().sysname, os.uname().machine)


def test_it_asks_the_interpreters_that_are_named_and_those_on_path(far: Far) -> None:
    """In that order; they are shells here."""
    named = far.add("python", "echo first")
    found = far.add("python3.99", "echo not this; echo second")
    answers = [value for name, value in filter(None, map(fact, far.listen(str(named)))) if name == "python"]
    assert answers[:2] == [f"1\t{named}\tfirst", f"2\t{found}\tsecond"]


def test_an_interpreter_that_hangs_is_given_up_and_costs_no_other(far: Far) -> None:
    hangs = far.add("python3.98", "exec sleep 61.5")
    found = far.add("python3.99", "echo found")
    since = time.monotonic()
    answers = [value for name, value in filter(None, map(fact, far.listen())) if name == "python"]
    assert answers[:2] == [f"1\t{hangs}\tno answer within 10 s", f"2\t{found}\tfound"]
    assert time.monotonic() - since < 30
    assert list(far.visit.glob("answer-*")) == []


def test_a_file_is_sent_once_whole_and_comes_back(far: Far) -> None:
    far.listen()
    name = "two words.txt"
    kept = far.root / "files" / DIGEST / name
    assert far.tell("lacking", said=f"{DIGEST} {name}\n") == (0, f"{DIGEST} {name}\n", "")
    assert far.tell("store", "0" * 64, name, said="data") == (4, "", f"it arrived with the sha256 {DIGEST}\n")
    assert far.tell("store", DIGEST, name, said="data") == (0, "", "")
    assert far.tell("lacking", said=f"{DIGEST} {name}\n") == (0, "", "")
    assert far.tell("fetch", str(kept)) == (0, "data", f"{DIGEST}\n")
    assert far.tell("fetch", f"{kept}.missing") == (44, "", "")


def test_what_is_a_visit_s_own_goes_with_it(far: Far) -> None:
    far.listen()
    assert far.tell("write", DIGEST, "jobs/one.json", said="data") == (0, "", "")
    assert far.tell("make", "output/key") == (0, "", "")
    assert (far.visit / "jobs/one.json").read_text() == "data"
    assert (far.visit / "output/key").is_dir()
    far.hang_up("done\n")
    assert [path.name for path in far.root.iterdir()] == ["files"]


def test_a_program_runs_in_the_visit_s_directory_and_hears_nothing(far: Far) -> None:
    far.listen()
    both = "pwd; cat; echo it\\'s >&2; exit 7"
    assert far.tell("run", "1", "sh", "-c", both, said="word") == (7, f"{far.visit}\nit's\n", "")
    assert list((far.visit / "run").iterdir()) == []


@pytest.mark.parametrize("word", ["", "done\n"], ids=["lost", "over"])
def test_what_runs_ends_with_the_connection_with_all_that_it_has_started(far: Far, word: str) -> None:
    far.listen()
    running, started = far.begin("sleep 62.5 & echo $!; wait")

    far.hang_up(word)

    assert ended(running)
    stat = Path("/proc", started, "stat")
    assert not stat.exists() or " Z " in stat.read_text()
    assert far.visit.exists() is not bool(word)


def test_what_runs_has_a_moment_to_end_its_own_affairs(far: Far) -> None:
    far.listen()
    running, _ = far.begin("trap 'sleep 1; echo cleaned; exit 1' TERM; echo begun; while :; do sleep 0.1; done")
    far.hang_up()
    assert running.communicate(timeout=10)[0].splitlines()[-1] == "cleaned"


def test_what_takes_no_notice_of_sigterm_is_killed(far: Far) -> None:
    far.listen()
    running, _ = far.begin("trap '' TERM; echo begun; while :; do sleep 0.1; done")
    far.hang_up()
    assert ended(running)


def test_a_connection_that_is_made_again_ends_what_the_lost_one_has_left(far: Far) -> None:
    far.listen()
    running, _ = far.begin("echo begun; sleep 63.5")
    lost = far.keeper

    assert facts(far.listen())["visit"] == "goes on"

    assert ended(running)
    lost.communicate(timeout=20)
    assert far.visit.is_dir()


def test_what_a_login_shell_has_printed_is_no_part_of_a_fact(far: Far) -> None:
    assert facts(far.listen(greeting="welcome>"))["root"] == str(far.root)
    far.hang_up()
    assert facts(far.listen(greeting="welcome>"))["visit"] == "goes on"
