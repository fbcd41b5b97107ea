from __future__ import annotations

import os
import shlex
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tasks.core.errors import BadInput
from tasks.core.targets import PythonTag
from tasks.services.interpreters import Discovered, discover, this_machine

THREADED = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}{THREADED}"
NAME = f"python{sys.version_info.major}.{sys.version_info.minor}{THREADED}"
HEADERS = Path(sysconfig.get_path("include"), "Python.h")

needs_headers = pytest.mark.skipif(not HEADERS.exists(), reason=f"{HEADERS} is not there")


def script(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def runs_this_python(directory: Path, name: str = NAME) -> Path:
    """A name that starts the interpreter of the tests, as a shim that works does."""
    return script(directory, name, f'exec {shlex.quote(sys.executable)} "$@"')


def answers(directory: Path, name: str, answer: str) -> Path:
    return script(directory, name, f"echo {shlex.quote(answer)}")


def on(*directories: Path) -> Discovered:
    return discover(os.pathsep.join(map(str, directories)))


def reasons(discovered: Discovered) -> list[str]:
    return [str(passed) for passed in discovered.passed_over]


@needs_headers
def test_an_interpreter_tells_what_it_is(tmp_path: Path) -> None:
    found = runs_this_python(tmp_path)

    (interpreter,) = on(tmp_path).interpreters

    assert interpreter.tag == PythonTag.parse(TAG)
    assert interpreter.version == ".".join(map(str, sys.version_info[:3]))
    assert interpreter.found == found
    assert interpreter.platform == sysconfig.get_platform().lower().translate(str.maketrans("-.", "__"))
    assert interpreter.machine == os.uname().machine
    assert interpreter.include == HEADERS.parent
    assert interpreter.free_threaded == bool(THREADED)


@needs_headers
def test_a_virtual_environment_stands_for_the_interpreter_below_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)

    (interpreter,) = on(tmp_path / "env" / "bin").interpreters

    assert tmp_path not in interpreter.executable.parents
    assert interpreter.executable.samefile(os.path.realpath(sys.executable))


@needs_headers
def test_a_shim_that_fails_is_passed_over_for_the_next_on_path(tmp_path: Path) -> None:
    shim = script(tmp_path / "shims", NAME, f"echo 'pyenv: {NAME}: command not found' >&2; exit 127")
    real = runs_this_python(tmp_path / "bin")

    discovered = on(tmp_path / "shims", tmp_path / "bin")

    assert [interpreter.found for interpreter in discovered.interpreters] == [real]
    assert reasons(discovered) == [f"{shim} does not start: pyenv: {NAME}: command not found"]


@needs_headers
def test_the_first_on_path_that_works_wins(tmp_path: Path) -> None:
    first = runs_this_python(tmp_path / "a")
    runs_this_python(tmp_path / "b")

    assert [interpreter.found for interpreter in on(tmp_path / "a", tmp_path / "b").interpreters] == [first]
    assert on(tmp_path / "a", tmp_path / "b").passed_over == ()


@needs_headers
def test_the_place_on_path_counts_more_than_the_name(tmp_path: Path) -> None:
    first = runs_this_python(tmp_path / "a", "python3")
    runs_this_python(tmp_path / "b")

    assert [interpreter.found for interpreter in on(tmp_path / "a", tmp_path / "b").interpreters] == [first]


@needs_headers
def test_an_alias_beside_a_versioned_name_is_not_asked(tmp_path: Path) -> None:
    versioned = runs_this_python(tmp_path)
    script(tmp_path, "python3", "touch $0.asked; exit 1")

    assert [interpreter.found for interpreter in on(tmp_path).interpreters] == [versioned]
    assert not (tmp_path / "python3.asked").exists()


def test_what_hangs_is_given_up(tmp_path: Path) -> None:
    hanging = script(tmp_path, "python3.12", "exec sleep 60")

    assert reasons(discover(str(tmp_path), timeout=0.3)) == [f"{hanging} does not start: no answer within 0.3 s"]


def test_what_fails_in_silence_is_named_with_its_exit_code(tmp_path: Path) -> None:
    assert reasons(on(script(tmp_path, "python3.12", "exit 3").parent)) == [
        f"{tmp_path}/python3.12 does not start: exit code 3"
    ]


@pytest.mark.parametrize("answer", ["hello", "[]", "{}", ""])
def test_what_is_no_interpreter_is_passed_over(tmp_path: Path, answer: str) -> None:
    file = answers(tmp_path, "python3.12", answer)

    assert reasons(on(tmp_path)) == [f"{file} does not answer as an interpreter does"]


def test_a_broken_first_line_is_said(tmp_path: Path) -> None:
    file = tmp_path / "python3.12"
    file.write_text("#!/no/such/shell\n", encoding="utf-8")
    file.chmod(0o755)

    assert reasons(on(tmp_path)) == [f"{file} does not start: the interpreter that its first line names is not there"]


def test_what_is_too_old_is_not_even_started(tmp_path: Path) -> None:
    file = script(tmp_path, "python3.7", "touch $0.asked")

    assert reasons(on(tmp_path)) == [f"{file} is Python 3.7, and 3.8 is the oldest that builds"]
    assert not (tmp_path / "python3.7.asked").exists()


def test_an_alias_of_an_old_python_says_so(tmp_path: Path) -> None:
    file = answers(tmp_path, "python3", '{"version": [3, 6, 15]}')

    assert reasons(on(tmp_path)) == [f"{file} is Python 3.6, and 3.8 is the oldest that builds"]


ANSWER = (
    '{{"version": [3, 12, 1], "implementation": "{implementation}", "abiflags": "{abiflags}", "executable": "/x",'
    ' "platform": "{platform}", "machine": "m", "include": "/usr/include/python3.12",'
    ' "headers": {headers}, "free_threaded": {free_threaded}}}'
)
GOOD = {
    "implementation": "cpython",
    "abiflags": "",
    "platform": sysconfig.get_platform(),
    "headers": "true",
    "free_threaded": "false",
}


@pytest.mark.parametrize(
    ("difference", "reason"),
    [
        (
            {"headers": "false"},
            "has no Python.h in /usr/include/python3.12: install the headers (python3-dev, python3-devel)",
        ),
        ({"implementation": "pypy"}, "is pypy, and only CPython builds here"),
        ({"abiflags": "d"}, "is a debug build, whose wheels install nowhere else"),
    ],
)
def test_an_interpreter_that_cannot_build_is_passed_over(
    tmp_path: Path, difference: dict[str, str], reason: str
) -> None:
    file = answers(tmp_path, "python3.12", ANSWER.format(**GOOD | difference))

    discovered = on(tmp_path)

    assert discovered.interpreters == ()
    assert reasons(discovered) == [f"{file} {reason}"]


def test_an_interpreter_for_another_platform_is_passed_over(tmp_path: Path) -> None:
    file = answers(tmp_path, "python3.12", ANSWER.format(**GOOD | {"platform": "linux-vax"}))
    here = sysconfig.get_platform().lower().translate(str.maketrans("-.", "__"))

    assert reasons(on(tmp_path)) == [f"{file} builds for linux_vax, and this machine is {here}"]


def test_a_free_threaded_interpreter_is_one_of_its_own(tmp_path: Path) -> None:
    answers(tmp_path, "python3.12", ANSWER.format(**GOOD))
    answers(tmp_path, "python3.12t", ANSWER.format(**GOOD | {"abiflags": "t", "free_threaded": "true"}))

    discovered = on(tmp_path)

    assert [interpreter.tag.tag for interpreter in discovered.interpreters] == ["cp312", "cp312t"]
    assert discovered.get("cp312t") == discovered.interpreters[1]
    assert discovered.interpreters[1].free_threaded


def test_interpreters_are_in_the_order_of_their_versions(tmp_path: Path) -> None:
    for minor in (9, 13, 10):
        version = f'"version": [3, {minor}, 0]'
        answers(tmp_path, f"python3.{minor}", ANSWER.format(**GOOD).replace('"version": [3, 12, 1]', version))

    assert [interpreter.tag.tag for interpreter in on(tmp_path).interpreters] == ["cp39", "cp310", "cp313"]


def test_why_an_interpreter_is_missing_is_said_with_what_there_is(tmp_path: Path) -> None:
    good = answers(tmp_path, "python3.12", ANSWER.format(**GOOD))
    shim = script(tmp_path, "python3.13", "echo 'not installed' >&2; exit 1")

    discovered = on(tmp_path)

    assert discovered.get("cp313") is None
    assert discovered.why_not("cp313") == (
        f"no interpreter for cp313 on PATH: {shim} does not start: not installed; there are: cp312 ({good})"
    )
    assert discovered.why_not("cp314") == f"no interpreter for cp314 on PATH; there are: cp312 ({good})"


@pytest.mark.parametrize("path", ["", os.pathsep, "/no/such/directory"])
def test_a_path_without_interpreters_is_no_error(path: str) -> None:
    assert discover(path) == Discovered(interpreters=(), passed_over=())


@needs_headers
def test_this_machine_is_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_this_python(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    machine = this_machine()

    assert machine.pythons == (PythonTag.parse(TAG),)
    assert machine.platform in machine.accepts
    assert machine.arch not in {"amd64", "arm64"}


def test_a_machine_that_cannot_build_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = script(tmp_path, "python3.12", "echo 'not installed' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BadInput) as caught:
        this_machine()

    assert caught.value.messages == (
        "this machine has no Python on PATH that can build: python3 with its headers is needed",
        f"{shim} does not start: not installed",
    )
