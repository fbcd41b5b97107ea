from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks import console
from tasks.console import Console
from tasks.core.errors import BadInput, Failed, Refused, ServiceFailed

if TYPE_CHECKING:
    import argparse

ROOT = Path(__file__).parent.parent


def run(*argv: str, error: BaseException | None = None) -> int:
    def stage(_: argparse.Namespace, terminal: Console) -> int:
        if error is not None:
            raise error
        terminal.info("doing [it]")
        terminal.detail("how")
        terminal.warn("take care of [this]")
        return 0

    return console.run(console.parser("x", "A stage."), argv, stage)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Failed("a"), 1), (BadInput("a"), 2), (ServiceFailed("a"), 3), (Refused("a"), 4)],
)
def test_each_kind_of_error_has_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    assert run(error=error) == code
    assert capsys.readouterr().err == "error: a\n"


def test_each_message_of_an_error_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(error=BadInput("a [1]", "b")) == 2
    assert capsys.readouterr().err == "error: a [1]\nerror: b\n"


def test_an_interruption_is_130_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(error=KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "error: interrupted; run the same command again to go on\n"


def test_an_interruption_while_a_stage_is_imported_says_the_same() -> None:
    interrupted = "import os, signal, tasks; os.kill(os.getpid(), signal.SIGINT)"
    done = subprocess.run([sys.executable, "-c", interrupted], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "")
    assert done.stderr == "error: interrupted; run the same command again to go on\n"


def test_another_error_while_a_stage_is_imported_has_its_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tasks; 1 / 0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "doing [it]\nwarning: take care of [this]\n"),
        (["--quiet"], "warning: take care of [this]\n"),
        (["--verbose"], "doing [it]\nhow\nwarning: take care of [this]\n"),
    ],
)
def test_messages_go_to_standard_error(capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert run(*options) == 0
    assert capsys.readouterr() == ("", said)


def test_a_message_shows_no_password_and_commands_no_ci(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BadInput("at https://user:pw@x.example/y\n##vso[task.setvariable variable=x]evil :key:")
    assert run(error=error) == 2
    assert capsys.readouterr().err == "error: at https://x.example/y\n##vso[task.setvariable variable=x]evil :key:\n"
    monkeypatch.setenv("TF_BUILD", "True")
    assert run(error=error) == 2
    assert capsys.readouterr().err == "error: at https://x.example/y\n# #vso[task.setvariable variable=x]evil :key:\n"


def test_a_fault_of_ours_is_one_line_and_with_verbose_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(error=ZeroDivisionError("oh")) == 70
    assert capsys.readouterr().err == (
        "error: this is a fault of spare-tire, please report it: ZeroDivisionError: oh\n"
        "error: --verbose shows where it happened\n"
    )
    assert run("--verbose", error=ZeroDivisionError("oh")) == 70
    said = capsys.readouterr().err
    assert said.startswith("error: this is a fault of spare-tire, please report it: ZeroDivisionError: oh\nTraceback ")
    assert "in stage\n    raise error\nZeroDivisionError: oh\n" in said


@pytest.mark.parametrize("streams", [">", "2>"])
def test_a_reader_that_has_gone_changes_no_outcome(streams: str, tmp_path: Path) -> None:
    (tmp_path / "m.yml").write_text("packages: {}\n")
    redirect = "2>/dev/null" if streams == ">" else "2>&1 >/dev/null"
    command = f"( {sys.executable} -m tasks.plan --json --matrix m.yml {redirect}; echo $? >code ) | true"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "build/plan.json").is_file()


def test_a_log_has_wide_tables_also_where_colours_are_forced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    Console().table(["a", "b"], [["one", "word " * 25]])
    assert "word " * 24 + "word" in capsys.readouterr().err


def test_quiet_and_verbose_exclude_each_other() -> None:
    assert run("--quiet", "--verbose") == 2


def test_an_option_cannot_be_shortened() -> None:
    assert run("--verb") == 2


def test_a_table_keeps_its_first_column_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Console().table(["target", "what"], [["a-long-name-of-a-target", "one two three four five [six]"]])
    lines = [line.rstrip() for line in capsys.readouterr().err.splitlines()]
    assert lines[3].startswith(" a-long-name-of-a-target   one two")
    assert "".join(line[26:] for line in lines[3:]).split() == ["one", "two", "three", "four", "five", "[six]"]


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stage_that_leaves_at_once_does_so_with_closed_streams_too(tmp_path: Path, redirected: str) -> None:
    command = f'"{sys.executable}" -m tasks.plan --quiet --plan plan.json {redirected}'
    (tmp_path / "wheel_matrix.yml").write_text("packages: {}\n")
    told = {**os.environ, "PYTHONPATH": str(ROOT), "SPARE_TIRE_INDEX": "none"}
    ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=told, check=False)

    assert ended.returncode == 0
    assert (tmp_path / "plan.json").exists()
