from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.process import LINE_LIMIT, CannotStart, run, start


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def is_running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(pid: int) -> bool:
    """Whether a killed process is gone, as soon as the system has got round to it."""
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text(encoding="utf-8").endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path.read_text(encoding="utf-8")


def lines_of(script: str) -> list[str]:
    lines: list[str] = []
    start(sh(script), lines.append).wait()
    return lines


linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


def test_run_returns_exit_code_and_both_outputs() -> None:
    done = run(sh("echo out; echo err >&2; exit 7"))

    assert (done.returncode, done.stdout, done.stderr, done.timed_out) == (7, "out\n", "err\n", False)


def test_run_sends_its_input() -> None:
    assert run(["cat"], input="grüße\n").stdout == "grüße\n"


def test_run_without_input_has_an_empty_standard_input() -> None:
    assert run(["cat"], timeout=10).stdout == ""


def test_run_replaces_the_whole_environment(tmp_path: Path) -> None:
    done = run(["/usr/bin/env"], env={"ONLY": "this"}, cwd=tmp_path)

    assert done.stdout == "ONLY=this\n"


def test_run_starts_in_the_directory_it_is_given(tmp_path: Path) -> None:
    assert run(["pwd", "-P"], cwd=tmp_path).stdout == f"{tmp_path.resolve()}\n"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert run(sh(r"printf 'a\377b'")).stdout == "a\ufffdb"


def test_a_signal_that_killed_the_program_is_its_negative_return_code() -> None:
    assert run(sh("kill -9 $$")).returncode == -signal.SIGKILL


@pytest.mark.parametrize("start_it", [run, lambda argv: start(argv, print)])
def test_a_program_that_is_not_on_path_is_named(start_it: object) -> None:
    assert callable(start_it)
    with pytest.raises(CannotStart) as caught:
        start_it(["no-such-program-here", "--version"])

    assert str(caught.value) == "no-such-program-here cannot be started: there is no such program on PATH"
    assert caught.value.exit_code == 2


def test_a_script_whose_interpreter_is_gone_is_named(tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    script.chmod(0o755)

    with pytest.raises(CannotStart) as caught:
        run([str(script)])

    assert str(caught.value) == f"{script} cannot be started: the interpreter that its first line names is not there"


def test_a_file_that_is_not_executable_is_named(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text", encoding="utf-8")

    with pytest.raises(CannotStart) as caught:
        run([str(plain)])

    assert str(caught.value) == f"{plain} cannot be started: Permission denied"


@linux_only
def test_run_kills_the_whole_group_on_time_out_and_keeps_what_was_written(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    done = run(sh(f"sleep 60 & echo $! > {shlex.quote(str(pid_file))}; echo before; wait"), timeout=0.5)

    assert (done.timed_out, done.stdout) == (True, "before\n")
    assert has_ended(int(pid_file.read_text(encoding="utf-8")))


def test_start_hands_on_lines_of_both_outputs_in_order() -> None:
    assert lines_of("echo one; echo two >&2; printf three") == ["one", "two", "three"]


def test_start_hands_a_line_on_when_it_is_written(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def acknowledge(line: str) -> None:
        seen.write_text(line, encoding="utf-8")

    # The program ends only when its first line has arrived here.
    ended = start(sh(f"echo one; while [ ! -s {shlex.quote(str(seen))} ]; do sleep 0.01; done"), acknowledge).wait()

    assert ended.returncode == 0


def test_start_returns_the_exit_code() -> None:
    assert start(sh("exit 3"), print).wait().returncode == 3


def test_of_a_progress_line_the_last_state_is_handed_on() -> None:
    assert lines_of(r"printf ' 10%%\r 50%%\r'; sleep 0.1; printf '100%%\r\nnext\r\n'") == ["100%", "next"]


def test_a_very_long_line_is_cut() -> None:
    lines = lines_of(f'{shlex.quote(sys.executable)} -c \'print("x" * 1_000_000); print("next")\'')

    assert lines == ["x" * LINE_LIMIT + "… (line cut)", "next"]


def test_a_character_that_arrives_in_two_parts_stays_whole() -> None:
    assert lines_of(r"printf '\303'; sleep 0.2; printf '\274\n'") == ["ü"]


@linux_only
def test_what_a_program_leaves_running_in_its_group_ends_with_it() -> None:
    lines: list[str] = []
    since = time.monotonic()

    assert start(sh("sleep 60 & echo $!; exit 0"), lines.append).wait().returncode == 0

    assert time.monotonic() - since < 10
    assert has_ended(int(lines[0]))


def test_a_daemon_that_left_the_group_and_holds_the_output_delays_nothing() -> None:
    program = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(60)"
    daemon = shlex.join([sys.executable, "-c", program])
    lines: list[str] = []
    since = time.monotonic()

    assert start(sh(f"{daemon} & sleep 1; exit 0"), lines.append).wait().returncode == 0

    assert time.monotonic() - since < 10
    os.kill(int(lines[0]), signal.SIGKILL)


@linux_only
def test_another_thread_can_stop_a_program() -> None:
    lines: list[str] = []
    began = threading.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        began.set()

    running = start(sh("sleep 60 & echo $!; wait"), on_line)

    def stop_when_it_has_begun() -> None:
        began.wait(10)
        running.stop()

    stopper = threading.Thread(target=stop_when_it_has_begun)
    stopper.start()
    ended = running.wait()
    stopper.join()

    assert ended.stopped
    assert has_ended(int(lines[0]))


def test_a_program_that_is_stopped_may_end_its_own_affairs_first() -> None:
    lines: list[str] = []
    running = start(sh("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.05; done"), lines.append)
    threading.Timer(0.5, running.stop).start()
    ended = running.wait()

    assert (lines[-1], ended.returncode, ended.stopped) == ("cleaned", 0, True)


@linux_only
def test_an_interrupt_kills_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        f"from tasks.process import start\nstart(['sh', '-c', 'sleep 60 & echo $! > {pid_file}; wait'], print).wait()\n"
    )
    lines: list[str] = []
    interrupted = start([sys.executable, "-c", program], lines.append, cwd=Path(__file__).parent.parent)
    waiter = threading.Thread(target=interrupted.wait)
    waiter.start()
    pid = int(wait_for(pid_file))
    parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[1])
    controller = int(Path(f"/proc/{parent}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[1])
    os.kill(controller, signal.SIGINT)
    waiter.join(20)

    assert not waiter.is_alive()
    assert lines == ["error: interrupted; run the same command again to go on"]
    assert has_ended(pid)


@linux_only
def test_an_error_in_the_reader_of_the_lines_kills_the_group() -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match=r"^\d+$") as caught:
        start(sh("sleep 60 & echo $!; wait"), fail).wait()

    assert has_ended(int(str(caught.value)))


def test_a_program_that_has_ended_hears_nothing_and_nothing_is_raised_for_it() -> None:
    """Whether its end is known already, which is another thread's business, or not."""
    running = start(["true"], print, listening=True)
    time.sleep(0.2)
    running.tell("one\n")

    assert running.wait().returncode == 0
    running.tell("another\n")
