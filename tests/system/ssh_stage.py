"""The stage ``build`` with an ssh instance: what the tests of hosts start from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.matrix import Rules
from tasks.core.plan import Plan
from tasks.core.targets import PythonTag
from tests.builds import action, machine, make_sdist

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tasks.core.actions import Action
    from tasks.core.matrix import Instance
    from tests.system.hosts import Host

ROOT = Path(__file__).parents[2]
PYTHON = PythonTag.parse("cp311")
"""The interpreter of the hosts."""
INSTANCE = "debian/12"
WAIT = """\
print("waiting", flush=True)
tries = "/tmp/tries-" + NAME
with open(tries, "a") as file:
    file.write("x")
while os.path.getsize(tries) <= int(os.environ.get("PATIENT", "0")):
    time.sleep(0.1)
"""
"""Statements of a build that waits for ever, as often as ``PATIENT`` says; how often it began is on the host."""


def spam(folder: Path, name: str = "spam", *, before: str = "pass", patient: int | None = None) -> Action:
    """Return an action for a host."""
    rules = Rules() if patient is None else Rules(env={"PATIENT": str(patient)})
    return action(make_sdist(folder / "sdists", name, before=before), python=PYTHON, instance=INSTANCE, rules=rules)


def wheel_of(each: Action) -> str:
    """Return the file name of its wheel."""
    return f"{each.wheel.name}-{each.version}-cp311-cp311-{machine().platform}.whl"


def write_plan(folder: Path, instance: Instance, *actions: Action) -> None:
    """Write a plan whose actions are all for one host."""
    plan = Plan(matrix="0" * 64, instances={instance.name: instance}, actions=actions)
    (folder / "build").mkdir(parents=True, exist_ok=True)
    (folder / "build/plan.json").write_bytes(plan.to_json())


class Build:
    """The stage, running in a process of its own; its messages are read as they come."""

    def __init__(
        self, folder: Path, *argv: str, instance: str = INSTANCE, through: Sequence[str] = (), **variables: str
    ) -> None:
        dropped = ("TF_BUILD", "GITHUB_", "JOB_DATA", "SOURCE_DATE_EPOCH", "SPARE_TIRE_", "COVERAGE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        (folder / "tmp").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [*through, sys.executable, "-m", "tasks.build", instance, "--json", "--verbose", "--no-check", *argv],
            cwd=folder,
            env={
                **kept,
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(folder / "tmp"),
                "PYTHONFAULTHANDLER": "1",
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []

    def until(self, *wanted: str) -> None:
        """Read messages until each of these was in one."""
        assert self.process.stderr is not None
        missing = set(wanted)
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            missing -= {each for each in missing if each in line}
            if not missing:
                return
        raise AssertionError([sorted(missing), self.said])

    def end(self, seconds: float = 120) -> tuple[int, dict[str, Any]]:
        """Wait for its end; return the exit code, and what became of each package."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # it then says where its threads are
            raise AssertionError([*self.said, *self.process.communicate()[1].splitlines()]) from None
        self.said += err.splitlines()
        actions = json.loads(out)["actions"] if out else []
        return self.process.returncode, {each["package"]: each for each in actions}

    @property
    def error(self) -> str:
        """The last error message."""
        return next(line for line in reversed(self.said) if line.startswith("error: "))


def tries(host: Host, name: str) -> int:
    """Return how often the build of a package began on a host."""
    return (host.files / f"tmp/tries-{name}").stat().st_size


def eventually(holds: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether something comes true within some seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def quiet(host: Host) -> bool:
    """Whether nothing runs on a host but the sshd that listens."""
    return [command for command in host.processes().values() if "[listener]" not in command] == []
