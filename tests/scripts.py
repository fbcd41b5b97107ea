"""The script that hosts run, run here: by each of this machine's shells, with programs of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from tasks.script import BUILD_HOST, render
from tasks.services.interpreters import PROBE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VALUES: dict[str, Any] = {
    "root": "/nowhere",
    "helper": "/nowhere/helper.py",
    "path": os.environ["PATH"],
    "may_install": "no",
    "system_packages": [],
    "pythons": [],
    "missing": [],
    "probe": PROBE,
}
SHELLS = [shell for shell in (["dash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(shell[0])]
BASICS = ("env", "head", "mkdir", "sed", "tail")
"""The programs that the script takes for granted."""


def run(script: str, *arguments: str, by: Sequence[str] = ("sh",), **variables: str) -> tuple[int, list[str]]:
    """Run a rendered script; return its exit code and what it printed."""
    done = subprocess.run(
        [shutil.which(by[0]) or by[0], *by[1:], "-c", script, "build_host.sh", *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


class System:
    """Programs that stand for another system: what is run is noted, and nothing else is on ``PATH`` but the basics."""

    def __init__(self, folder: Path, scripts: Mapping[str, str]) -> None:
        self.path = folder / "bin"
        self.root = folder / "root"
        self._log = folder / "ran"
        self.path.mkdir()
        for name in BASICS:
            (self.path / name).symlink_to(shutil.which(name) or "")
        for name, text in scripts.items():
            self.add(name, text)

    def add(self, name: str, text: str = "") -> None:
        """Add a program of this shell script."""
        noted = f"""{{ printf %s '{name}'; [ $# = 0 ] || printf ' <%s>' "$@"; echo; }} >>'{self._log}'"""
        (self.path / name).write_text(f"#!/bin/sh\n{noted}\n{text}\n", encoding="utf-8")
        (self.path / name).chmod(0o755)

    def prepare(self, *, by: Sequence[str] = ("sh",), **values: object) -> tuple[int, list[str]]:
        """Prepare it; return the exit code and the lines, without those of every host."""
        script = render(BUILD_HOST, {**VALUES, "path": str(self.path), "root": str(self.root), **values})
        code, lines = run(script, "prepare", by=by)
        assert lines[0].startswith("spare-tire: host: ")
        return code, lines[1:]

    def ran(self, *names: str) -> list[str]:
        """Return how these programs were run, in their order; each argument stands in angle brackets."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [line for line in lines if line.partition(" ")[0] in names]
