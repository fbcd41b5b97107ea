from __future__ import annotations

import pytest

from tasks.core.ansible_test import (
    asked_for,
    denial,
    is_given_back,
    is_proof,
    is_refused,
    is_started,
    why_none,
)
from tasks.core.errors import BadInput, ServiceFailed

PROOF = "##vso[task.addattachment type=ansible-core-ci;name=public-key.pem]"


def test_the_address_of_an_instance_is_known_before_it_is_asked_for() -> None:
    address = "https://ci.example/api/prod/aws/7d1f1c2e-8f3e-4b0a-9d57-2f6d5f7a9c11"
    assert asked_for(f"Initializing new freebsd 15.1 (x86_64) [target] @aws instance using: {address}") == address
    assert asked_for(f"Checking existing freebsd 15.1 (x86_64) [target] @aws instance using: {address}") is None


def test_what_the_service_has_said_is_known_by_its_line() -> None:
    said = {
        "Started debian 12 (x86_64) [target] @aws instance.": is_started,
        "FATAL: 503: all machines are taken": is_refused,
        "Stopped running debian 12 (x86_64) [target] @aws instance.": is_given_back,
        "Cleared invalid debian 12 (x86_64) [target] @aws instance.": is_given_back,
    }
    for line, meaning in said.items():
        assert [each for each in (is_started, is_refused, is_given_back) if each(line)] == [meaning]
    for line in ("Skipping started x instance.", "FATAL: Command failed", "say FATAL: 503: x", "WARNING: 503: x"):
        assert not is_started(line)
        assert not is_refused(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("WARNING: 401: Authentication failed.. Trying again after 15 seconds.", "401: Authentication failed"),
        ("WARNING: 403: not yours. Trying again after 15 seconds.", "403: not yours"),
        ("WARNING: 500: oops. Trying again after 15 seconds.", None),
        ("FATAL: 401: Authentication failed.", None),
    ],
)
def test_who_is_not_let_in_is_not_let_in_the_next_time(line: str, expected: str | None) -> None:
    assert denial(line) == expected


@pytest.mark.parametrize(
    ("line", "temporary", "expected"),
    [
        (f"{PROOF}/agent/_temp/public-key-x.pem", "/agent/_temp", True),
        (f"{PROOF}/agent/_temp/public-key-x.pem", "/agent/_temp/", True),
        (f"{PROOF}/agent/_temp/public-key-x.pem", None, False),
        (f"{PROOF}/agent/_temp/public-key-x.pem", "", False),
        (f"{PROOF}/etc/passwd", "/agent/_temp", False),
        (f"{PROOF}/agent/_temp/../secret", "/agent/_temp", False),
        (f"{PROOF}/agent/_temp/..", "/agent/_temp", False),
        (f"x {PROOF}/agent/_temp/public-key-x.pem", "/agent/_temp", False),
        ("##vso[task.addattachment type=x;name=public-key.pem]/agent/_temp/x", "/agent/_temp", False),
        ("##vso[task.setvariable variable=x]/agent/_temp/x", "/agent/_temp", False),
    ],
)
def test_the_agent_obeys_one_line_only(line: str, temporary: str | None, *, expected: bool) -> None:
    assert is_proof(line, temporary) is expected


@pytest.mark.parametrize(
    ("lines", "kind", "reason"),
    [
        (
            ["FATAL: 400: there is no plan/9 x86_64", ""],
            ServiceFailed,
            "ansible-test gets no machine from core-ci: 400: there is no plan/9 x86_64",
        ),
        (
            ["Traceback (most recent call last):", "    raise", "urllib.error.URLError: <urlopen error refused>"],
            ServiceFailed,
            "ansible-test gets no machine from core-ci: URLError: <urlopen error refused>",
        ),
        (["what is this  ", ""], ServiceFailed, "ansible-test gets no machine from core-ci: what is this"),
        ([], ServiceFailed, "ansible-test gets no machine from core-ci: it said nothing"),
        (
            ['ansible-test integration: error: argument --target: "s390x" not in: x86_64, aarch64'],
            BadInput,
            'ansible-test refuses the instance: "s390x" not in: x86_64, aarch64',
        ),
        (
            ['ansible-test integration: error: argument --target: "3.14" not in: 3.8, 3.9'],
            BadInput,
            "ansible-core 2.19.14 knows no Python 3.14 on a remote host, only 3.8, 3.9: run nox with a later Python, which gets a later one",
        ),
    ],
)
def test_why_there_is_no_instance(lines: list[str], kind: type, reason: str) -> None:
    error = why_none("a/1,arch=x86_64", lines, "2.19.14")
    assert type(error) is kind
    assert str(error) == f"a/1,arch=x86_64: {reason}"
