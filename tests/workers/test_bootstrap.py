"""What the script's facts tell, and the sentences that come of it."""

from __future__ import annotations

import json

import pytest

from tasks.workers.bootstrap import Prepared, fact

ANSWER = {
    "version": [3, 12, 4],
    "implementation": "cpython",
    "abiflags": "",
    "executable": "/usr/local/bin/python3.12",
    "platform": "freebsd-15.1-RELEASE-amd64",
    "machine": "amd64",
    "include": "/usr/local/include/python3.12",
    "headers": True,
    "free_threaded": False,
}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("spare-tire-fact left lang/rust", ("left", "lang/rust")),
        ("spare-tire-fact package cp39 apk ", ("package", "cp39 apk ")),
        ("spare-tire-factory left x", None),
        ("spare-tire: left x", None),
        ("", None),
    ],
)
def test_facts_are_told_from_other_lines(line: str, found: tuple[str, str] | None) -> None:
    assert fact(line) == found


def test_packages_that_are_left_are_known() -> None:
    assert Prepared.of(["spare-tire-fact left a b", "left c", "spare-tire-fact left d"]).left == {"a b", "d"}


def test_an_interpreter_that_came_is_known() -> None:
    prepared = Prepared.of([f"spare-tire-fact python /usr/local/bin/python3.12\t{json.dumps(ANSWER)}"])
    came = prepared.came.get("cp312")
    assert came is not None
    assert str(came.executable) == "/usr/local/bin/python3.12"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["spare-tire-fact package cp312 pkg python312"],
            "; pkg has the package python312 for it: install that, or name it in system_packages",
        ),
        (["spare-tire-fact package cp312 apt-get "], "; apt-get knows of no package that brings it"),
        (["spare-tire-fact package cp313 pkg python313"], ""),
        (
            [
                f"spare-tire-fact python /bin/python3.13\t{json.dumps({**ANSWER, 'version': [3, 13, 1], 'headers': False})}"
            ],
            "",
        ),
        (
            [
                f"spare-tire-fact python /bin/python3.12\t{json.dumps({**ANSWER, 'headers': False})}",
                "spare-tire-fact package cp312 apt-get python3.12-dev",
            ],
            (
                "; /bin/python3.12 has no Python.h in /usr/local/include/python3.12: "
                "install the headers (python3-dev, python3-devel)"
                "; apt-get has the package python3.12-dev for it: install that, or name it in system_packages"
            ),
        ),
    ],
)
def test_a_missing_interpreter_is_explained(lines: list[str], told: str) -> None:
    assert Prepared.of(lines).how_to_get("cp312") == told
