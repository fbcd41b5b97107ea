"""What a rebuild shows while it goes on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.console import Console
from tasks.uploads import reading
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent


def test_where_there_is_no_terminal_a_rebuild_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with reading(Console(), 3, every=0) as done:
        for _ in range(3):
            done()

    assert capsys.readouterr().err.splitlines() == ["1 of 3 wheels", "2 of 3 wheels"]


def test_a_quick_rebuild_says_nothing_of_its_way(capsys: pytest.CaptureFixture[str]) -> None:
    with reading(Console(), 3) as done:
        done()

    assert capsys.readouterr().err == ""


def test_a_quiet_rebuild_says_nothing_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with reading(Console(quiet=True), 3, every=0) as done:
        done()

    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_rebuild_shows_a_bar(tmp_path: Path) -> None:
    make_wheel(tmp_path / "index" / "packages")
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "tasks.publish", "--index", "index", "--rebuild"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, stderr=side, check=False)
    os.close(side)
    shown = b""
    while chunk := read(terminal):
        shown += chunk

    assert ran.returncode == 0
    assert b"looking at wheels" in shown
    assert b"1/1" in shown
    assert b"index: 1 published" in shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # its other side is closed
        return b""
