"""What every worker does, whatever host it is: one suite, for this machine, one reached by ssh, and one of core-ci."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import Failed
from tasks.core.matrix import Instance
from tasks.core.targets import PythonTag
from tasks.workers import Wanted, open_worker
from tasks.workers.local import LocalWorker
from tests.builds import machine, search_path
from tests.core_ci import PASSWORD, USER, CoreCi
from tests.system.hosts import make_host
from tests.system.ssh_stage import INSTANCE, PYTHON, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.process import Ended
    from tasks.workers import Worker


@pytest.fixture(scope="module", params=["local", "ssh", "core-ci"])
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Return an entered worker."""
    folder = tmp_path_factory.mktemp("worker")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "local":
            patch.setattr(tempfile, "tempdir", str(folder))
            patch.setenv("PATH", search_path())
            with LocalWorker() as entered:
                yield entered
            return
        request.getfixturevalue("hosts")
        with make_host() as host, CoreCi(hosts={machine().arch: host}) as service:
            instance, wanted = host.instance(INSTANCE), Wanted()
            if request.param == "core-ci":
                patch.setenv("HOME", str(folder))
                (folder / ".ansible-core-ci.key").write_text(f"{USER} {PASSWORD}\n")
                said = {"worker": "core-ci", "remote_provider": "aws", "remote_endpoint": service.endpoint}
                instance, wanted = Instance.from_dict(INSTANCE, said), Wanted(pythons=(PYTHON,))
            with open_worker(instance, machine().arch, wanted) as entered:
                yield entered


def run(worker: Worker, *argv: str) -> tuple[Ended, list[str]]:
    lines: list[str] = []
    return worker.start(argv, lines.append).wait(), lines


def test_files_go_there_and_come_back(worker: Worker, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "file.bin").write_bytes(data)
    there = worker.put(tmp_path / "file.bin", "a/file.bin")
    assert PurePosixPath(there).name == "file.bin"
    assert there.startswith(worker.root)
    worker.get(there, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_bytes_go_there_under_their_name_also_a_second_time(worker: Worker, tmp_path: Path) -> None:
    first = worker.put(b"first", "jobs/one.json")
    assert worker.put(b"second", "jobs/one.json") == first
    worker.get(first, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"second"


def test_several_files_of_one_name_stay_apart(worker: Worker, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.patch").write_text(name)
    there = worker.put_all([(tmp_path / name / "x.patch", f"sources/{name}/x.patch") for name in ("a", "b")])
    assert run(worker, "cat", *there)[1] == ["ab"]


def test_a_file_that_is_not_there_is_not_found(worker: Worker, tmp_path: Path) -> None:
    missing = f"{worker.directory('output')}/missing"
    with pytest.raises(FileNotFoundError, match=r"/missing\b"):
        worker.get(missing, tmp_path / "back")


def test_a_link_that_a_build_leaves_is_not_followed(worker: Worker, tmp_path: Path) -> None:
    link = f"{worker.directory('output')}/x.whl"
    assert run(worker, "ln", "-sf", "/etc/hostname", link)[0].returncode == 0
    with pytest.raises(FileNotFoundError):
        worker.get(link, tmp_path / "back")


def test_a_directory_is_there_and_may_be_asked_for_again(worker: Worker) -> None:
    there = worker.directory("output/key")
    assert worker.directory("output/key") == there
    assert run(worker, "test", "-d", there)[0].returncode == 0


def test_lines_come_in_their_order_from_both_outputs_with_the_exit_code(worker: Worker) -> None:
    both = "for n in $(seq 300); do echo $n; echo $n >&2; done; exit 7"
    ended, lines = run(worker, "sh", "-c", both)
    assert lines == [str(number) for number in range(1, 301) for _ in range(2)]
    assert (ended.returncode, ended.stopped, ended.lost) == (7, False, False)


@pytest.mark.parametrize("code", [1, 3, 44, 255])
def test_no_exit_code_is_taken_for_something_else(worker: Worker, code: int) -> None:
    ended, _ = run(worker, "sh", "-c", f"exit {code}")
    assert (ended.returncode, ended.lost) == (code, False)


@pytest.mark.parametrize("text", ["two words", "it's", '"$HOME"', "$(id)", "`id`", "a;b", "*", "", "#", "é", "a\\b"])
def test_arguments_arrive_as_they_are(worker: Worker, text: str) -> None:
    assert run(worker, "sh", "-c", 'printf "%s\\n" "$@"', "sh", text, "end")[1] == [text, "end"]


@pytest.mark.parametrize("name", ["two words.txt", "it's.txt", "$(id).txt"])
def test_names_arrive_as_they_are(worker: Worker, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"data")
    worker.get(worker.put(tmp_path / name, f"sources/{name}"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"data"


def test_programs_hear_nothing(worker: Worker) -> None:
    assert run(worker, "cat")[1] == []


def test_lines_come_as_they_are_printed(worker: Worker) -> None:
    came: list[float] = []
    worker.start(["sh", "-c", "echo now; sleep 2; echo then"], lambda _: came.append(time.monotonic())).wait()
    assert came[1] - came[0] > 1


def test_its_interpreters_start(worker: Worker) -> None:
    assert worker.pythons()
    for python in worker.pythons():
        assert run(worker, python, "-c", "print(6 * 7)")[1] == ["42"]


def test_an_interpreter_that_is_missing_is_told_from_those_that_are_there(worker: Worker) -> None:
    with pytest.raises(Failed, match=r"no interpreter for cp399 on PATH.*; there are: cp3"):
        worker.python_for(PythonTag.parse("cp399"))


def test_builds_side_by_side_are_as_many_as_wished_for_or_as_it_has_processors(worker: Worker) -> None:
    assert worker.jobs(2) == 2
    assert worker.jobs(None) >= 1


def test_a_program_that_is_stopped_is_gone(worker: Worker) -> None:
    lines: list[str] = []
    mark = worker.directory("stopped")
    endless = f'trap "" HUP; echo begun; while touch {mark}/alive; do echo still; sleep 0.1; done'

    def on_line(line: str) -> None:
        lines.append(line)
        running.stop()

    running = worker.start(["sh", "-c", endless], on_line)
    assert running.wait().stopped
    assert lines[0] == "begun"

    def quiet() -> bool:
        run(worker, "rm", "-f", f"{mark}/alive")
        time.sleep(0.5)
        return run(worker, "test", "-e", f"{mark}/alive")[0].returncode == 1

    assert eventually(quiet)
