"""What a visit shows: on a CI to the letter, on a terminal what matters, in a file plain lines."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.console import Console
from tasks.core.logs import plain
from tasks.core.records import ActionOutcome
from tasks.progress import Aside, display, show_summary
from tests.actions import action_of
from tests.builds import action, make_sdist, search_path, wheel_name, write_plan

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent
AZURE, GITHUB = {"TF_BUILD": "True"}, {"GITHUB_ACTIONS": "true"}
ACTION = action_of()
TITLE = ACTION.wheel.filename
BUILT = ActionOutcome(action=ACTION, outcome="built", wheel=TITLE, seconds=3.2)
FAILED = ActionOutcome(
    action=ACTION,
    outcome="failed",
    reason="the build failed: ##vso[task.complete]",
    log="logs/k.txt.gz",
    tail=("in std::vector", "##[endgroup]"),
)


def told(environ: dict[str, str], *, quiet: bool = False, verbose: bool = False) -> None:
    """Show what a program prints between two of its groups, too."""
    aside = Aside(Console(quiet=quiet, verbose=verbose), environ)
    with aside.group("starting"):
        aside.line("one ##vso[task.complete]")
        aside.line("##vso[task.addattachment]x", is_command=True)
    aside.line("between")
    aside.line("##vso[task.addattachment]y", is_command=True)
    with aside.group("ending"):
        aside.line("two")


def test_what_a_program_says_aside_is_folded_on_a_ci_and_its_commands_come_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told(AZURE)
    assert capsys.readouterr().err.splitlines() == [
        "##[group]starting",
        "one # #vso[task.complete]",
        "##vso[task.addattachment]x",
        "##[endgroup]",
        "##vso[task.addattachment]y",
        "##[group]ending",
        "between",
        "two",
        "##[endgroup]",
    ]


def test_commands_reach_a_ci_also_where_nothing_else_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    told(AZURE, quiet=True)
    assert capsys.readouterr().err.splitlines() == ["##vso[task.addattachment]x", "##vso[task.addattachment]y"]


def test_elsewhere_what_a_program_says_aside_is_a_detail(capsys: pytest.CaptureFixture[str]) -> None:
    told({})
    assert capsys.readouterr().err.splitlines() == ["starting", "ending"]
    told({}, quiet=True)
    assert capsys.readouterr().err == ""
    told({}, verbose=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "starting",
        "one ##vso[task.complete]",
        "##vso[task.addattachment]x",
        "##vso[task.addattachment]y",
        "ending",
        "between",
        "two",
    ]


def shown(environ: dict[str, str], *, quiet: bool = False) -> None:
    """Show two actions side by side, one of which fails."""
    with display(Console(quiet=quiet), "local x86_64", 2, environ) as shows:
        shows.started("one")
        shows.started("two")
        shows.line("one", "unseen")
        shows.finished("two", FAILED, ["spare-tire: building", "##[endgroup]", "::error::x"])
        shows.finished("one", BUILT, ["compiling :robot: [bold]"])


def test_azure_gets_one_unbroken_group_per_action(capsys: pytest.CaptureFixture[str]) -> None:
    shown(AZURE)
    assert capsys.readouterr().err.splitlines() == [
        "##[group]two",
        "spare-tire: building",
        "# #[endgroup]",
        ": :error: :x",
        "##[endgroup]",
        "failed two: the build failed: # #vso[task.complete]",
        "##[group]one",
        "compiling :robot: [bold]",
        "##[endgroup]",
        f"built {TITLE} in 3 s",
    ]


def test_github_gets_groups_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    shown(GITHUB)
    said = capsys.readouterr().err.splitlines()
    assert (said[0], said[4], said[6], said[8]) == ("::group::two", "::endgroup::", "::group::one", "::endgroup::")


def test_a_quiet_ci_gets_the_groups_of_failures(capsys: pytest.CaptureFixture[str]) -> None:
    shown(AZURE, quiet=True)
    said = capsys.readouterr().err
    assert "##[group]two" in said
    assert "##[group]one" not in said


def test_a_file_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown({})
    assert capsys.readouterr().err.splitlines() == [
        "building one",
        "building two",
        "failed two: the build failed: ##vso[task.complete]",
        f"built {TITLE} in 3 s",
    ]


def test_the_summary_ends_with_the_failures_and_where_their_logs_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(Console(), [BUILT, FAILED], "dist", {})
    assert [line.rstrip() for line in capsys.readouterr().err.splitlines()] == [
        f"built   {TITLE}  3.2 s",
        f"failed  {TITLE}",
        "  | in std::vector",
        "  | ##[endgroup]",
        f"error: {TITLE}: the build failed: ##vso[task.complete]; the log is dist/logs/k.txt.gz",
    ]


def test_the_summary_commands_no_ci(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(Console(quiet=True), [FAILED], "dist", GITHUB)
    assert capsys.readouterr().err.splitlines() == [
        "  | in std: :vector",
        "  | # #[endgroup]",
        f"error: {TITLE}: the build failed: # #vso[task.complete]; the log is dist/logs/k.txt.gz",
    ]


def test_a_terminal_shows_a_line_for_the_running_action_and_a_bar_for_the_visit(tmp_path: Path) -> None:
    hostile = "print('\\x1b]0;owned\\x07\\x1b[2Jspare-tire: \\x1b[31mpretending', flush=True); time.sleep(1)"
    write_plan(tmp_path / "build/plan.json", action(make_sdist(tmp_path / "sdists", "spam", before=hostile)))

    screen = on_a_terminal(tmp_path)

    assert "owned" not in screen
    assert "\x1b[31mpretending" not in screen
    text = plain(screen)
    assert re.search(r"local \w+ .*0/1", text)
    assert re.search(rf"{re.escape(wheel_name('spam'))} .*pretending .*0:00:0\d", text)
    assert re.search(rf"built {re.escape(wheel_name('spam'))} in \d+ s", text)


def on_a_terminal(folder: Path) -> str:
    """Run the stage with a terminal as standard error; return what it was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
    (folder / "tmp").mkdir()
    dropped = ("TF_BUILD", "GITHUB_", "JOB_DATA", "COLUMNS", "NO_COLOR", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environment = {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), "TERM": "xterm-256color"}
    environment["PATH"] = search_path()
    running = subprocess.Popen(
        [sys.executable, "-m", "tasks.build"],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    screen = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            screen += chunk
    except OSError:  # Linux says EIO when the other side has closed
        pass
    finally:
        os.close(ours)
    assert running.wait(10) == 0
    return screen.decode()
