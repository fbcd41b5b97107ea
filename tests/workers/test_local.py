from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.core.errors import BadInput, Failed
from tasks.core.matrix import Instance
from tasks.core.targets import PythonTag
from tasks.workers import open_worker
from tasks.workers.local import LocalWorker, build_path, find_uv
from tests.builds import search_path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", search_path())
    return tmp_path


def test_the_worker_of_a_local_instance_is_this_machine() -> None:
    assert isinstance(open_worker(Instance(name="bench", worker="local"), "x86_64"), LocalWorker)


def test_its_root_is_this_user_s_alone_and_the_visit_s_directory_goes(here: Path) -> None:
    with LocalWorker() as worker:
        root = here / f"spare-tire-{os.geteuid()}"
        assert worker.root == str(root)
        assert root.stat().st_mode & 0o777 == 0o700
        sent = Path(worker.put(b"text", "a/b.txt"))
        assert sent.read_bytes() == b"text"
        assert root in sent.parents
    assert list(root.iterdir()) == []


def test_a_root_that_others_may_enter_is_bad_input(here: Path) -> None:
    root = here / f"spare-tire-{os.geteuid()}"
    root.mkdir(mode=0o755)
    with pytest.raises(BadInput) as caught, LocalWorker():
        pass
    assert str(caught.value) == (
        f"the scratch directory cannot be used: {root} is not a directory of this user alone (mode 0700); "
        "remove it, or set TMPDIR to a directory of your own"
    )


def test_files_go_there_and_come_back(here: Path) -> None:
    (here / "sent").write_bytes(b"bytes")
    with LocalWorker() as worker:
        worker.get(worker.put(here / "sent", "file"), here / "back")
    assert (here / "back").read_bytes() == b"bytes"


def test_a_link_that_a_build_leaves_is_not_followed(here: Path) -> None:
    (here / "secret").write_bytes(b"secret")
    with LocalWorker() as worker:
        link = Path(worker.directory("output"), "x.whl")
        link.symlink_to(here / "secret")
        with pytest.raises(FileNotFoundError):
            worker.get(str(link), here / "back")
    assert not (here / "back").exists()


@pytest.mark.usefixtures("here")
def test_programs_say_their_lines_as_they_come() -> None:
    lines: list[str] = []
    with LocalWorker() as worker:
        ended = worker.start(["sh", "-c", "echo one; echo two >&2; exit 7"], lines.append).wait()
    assert (lines, ended.returncode) == (["one", "two"], 7)


@pytest.mark.usefixtures("here")
def test_its_interpreters_are_none_of_a_virtual_environment() -> None:
    with LocalWorker() as worker:
        found = [Path(python) for python in worker.pythons()]
        assert found
        assert [python for python in found if (python.parents[1] / "pyvenv.cfg").exists()] == []


@pytest.mark.usefixtures("here")
def test_an_interpreter_that_is_missing_is_told_from_those_that_are_there() -> None:
    with LocalWorker() as worker:
        there = worker.pythons()[0]
        with pytest.raises(Failed) as caught:
            worker.python_for(PythonTag.parse("cp399"))
    assert str(caught.value).startswith("no interpreter for cp399 on PATH; there are: cp3")
    assert Path(there).is_file()


@pytest.mark.usefixtures("here")
def test_without_bubblewrap_it_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalWorker() as worker:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert worker.warnings() == (
            "bubblewrap (bwrap) is not installed: builds run with all your rights; build trusted sources only",
        )


def test_builds_do_not_find_the_session_s_own_environment(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    path = os.pathsep.join([f"{own}/bin", "/usr/bin", "relative", "", f"{other}/bin", "/bin"])
    assert build_path({"PATH": path, "VIRTUAL_ENV": str(other)}, str(own), "/usr") == "/usr/bin:/bin"
    assert build_path({"PATH": path}, "/usr", "/usr") == f"{own}/bin:/usr/bin:{other}/bin:/bin"


def test_uv_is_that_of_this_environment() -> None:
    uv = find_uv()
    assert uv is not None
    assert Path(uv).parent.samefile(Path(sys.executable).parent)
