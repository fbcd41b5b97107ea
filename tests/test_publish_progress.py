"""What publishing and rebuilding show while they go on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.console import Console
from tasks.uploads import reading, uploads
from tests.wheel_factory import make_wheel

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


def test_where_there_is_no_terminal_publishing_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with uploads(Console(), 3, 10_500_000, every=0) as done:
        for size in (500_000, 4_000_000, 6_000_000):
            done(size)

    assert capsys.readouterr().err.splitlines() == ["1 of 3 wheels, 0.5 of 10.5 MB", "2 of 3 wheels, 4.5 of 10.5 MB"]


@pytest.mark.parametrize(("quiet", "wheels"), [(True, 3), (False, 0)], ids=["quiet", "nothing to do"])
def test_where_nothing_is_to_be_said_publishing_says_nothing(
    quiet: bool,  # noqa: FBT001
    wheels: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with uploads(Console(quiet=quiet), wheels, 10, every=0) as done:
        done(5)

    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_rebuild_shows_a_bar(tmp_path: Path) -> None:
    make_wheel(tmp_path / "index" / "packages")

    shown = on_a_terminal(tmp_path, "--rebuild")

    assert b"looking at wheels" in shown
    assert b"1/1" in shown
    assert b"index: 1 published" in shown


def test_on_a_terminal_publishing_shows_a_bar_with_wheels_and_bytes(tmp_path: Path) -> None:
    sizes = [make_wheel(tmp_path / "dist" / "wheels", name).stat().st_size for name in ("demo", "other")]

    shown = on_a_terminal(tmp_path)

    assert b"publishing" in shown
    assert b"2 of 2 wheels" in shown
    assert f"{sum(sizes) / 1000:.1f}/{sum(sizes) / 1000:.1f} kB".encode() in shown
    assert b"index: 2 published" in shown


def on_a_terminal(here: Path, *arguments: str) -> bytes:
    """Publish to ``index`` with standard error on a terminal; return what is shown there."""
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "tasks.publish", "--index", "index", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    ran = subprocess.run(command, cwd=here, env=environment, stderr=side, check=False)
    os.close(side)
    shown = b""
    while chunk := read(terminal):
        shown += chunk
    assert ran.returncode == 0
    return shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # its other side is closed
        return b""
