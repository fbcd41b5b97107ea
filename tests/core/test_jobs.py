from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tasks.core.jobs import BuiltFile, Site, job, read_result
from tasks.core.matrix import Check, Rules
from tests.actions import action_of

ACTION = action_of(
    "PyYAML",
    "6.0.3",
    sha256="a" * 64,
    rules=Rules(constraints=("Cython<3",), env={"CFLAGS": "-I/usr/local/include"}, network=True, timeout=60),
    check=Check(imports=("yaml",), requires=("eggs<2",)),
)
ACTION = replace(ACTION, wheel=replace(ACTION.wheel, build=(2, "")))
SITE = Site(
    sdist="/s/pyyaml-6.0.3.tar.gz",
    python="/usr/bin/python3.12",
    root="/r",
    output="/o",
    path="/usr/bin",
    patches=("/p",),
)
RESULT: dict[str, Any] = {
    "format": "spare-tire/result",
    "version": 1,
    "key": "k",
    "outcome": "built",
    "reason": None,
    "wheel": {"filename": "pyyaml-6.0.3-cp312-cp312-linux_x86_64.whl", "sha256": "b" * 64, "size": 7},
    "requirements": ["setuptools==80.9.0", "Cython==0.29.37"],
    "environment": {"TZ": "UTC"},
    "interpreter": {"version": "3.12.1"},
    "tools": {"cc": None},
    "times": {"build": 1.23456},
    "checks": [{"name": "import", "outcome": "passed", "detail": "yaml"}],
    "network": True,
    "lacking": None,
}


def test_a_job_says_all_that_the_helper_needs() -> None:
    assert json.loads(job(ACTION, SITE, {"--build-option": ("a", "b")})) == {
        "format": "spare-tire/job",
        "version": 1,
        "key": ACTION.key,
        "package": {"name": "PyYAML", "release": "6.0.3"},
        "sdist": "/s/pyyaml-6.0.3.tar.gz",
        "sha256": "a" * 64,
        "python": "/usr/bin/python3.12",
        "root": "/r",
        "output": "/o",
        "build_tag": "2",
        "constraints": ["Cython<3"],
        "build_requires": [],
        "env": {"CFLAGS": "-I/usr/local/include"},
        "config_settings": {"--build-option": ["a", "b"]},
        "patches": ["/p"],
        "timeout": 60,
        "network": True,
        "installer": None,
        "index_url": None,
        "path": "/usr/bin",
        "find_links": [],
        "wheels": [],
        "ours": [],
        "wheel": None,
        "shared": None,
        "check": {"import": ["yaml"], "requires": ["eggs<2"], "run": None},
    }


def test_a_job_may_go_without_the_check() -> None:
    assert json.loads(job(ACTION, SITE, {}, with_check=False))["check"] is None


def test_a_site_shows_no_password() -> None:
    site = Site(sdist="", python="", root="", output="", path="", index_url="https://user:secret@x.test/simple")
    assert "secret" not in repr(site)


def test_a_result_is_read_and_put_in_order() -> None:
    result = read_result(json.dumps(RESULT).encode(), "k")
    assert result.built
    assert result.wheel == BuiltFile(filename=RESULT["wheel"]["filename"], sha256="b" * 64, size=7)
    assert result.requirements == ("Cython==0.29.37", "setuptools==80.9.0")
    assert result.times == {"build": 1.235}


def test_a_failure_may_name_what_is_asked_of_a_requirement_without_a_wheel() -> None:
    failed = {**RESULT, "outcome": "failed", "wheel": None, "lacking": ["maturin", "maturin>=1"]}
    assert read_result(json.dumps(failed).encode(), "k").lacking == ("maturin", "maturin>=1")


def test_a_failure_has_its_reason_on_one_line() -> None:
    failed = {**RESULT, "outcome": "failed", "wheel": None, "reason": "the build failed:\n  out of eggs"}
    assert read_result(json.dumps(failed).encode(), "k").reason == "the build failed: out of eggs"


@pytest.mark.parametrize("filename", ["../x.whl", "a/b.whl", "x.txt", ".x.whl", "a\\b.whl"])
def test_a_wheel_s_name_is_no_path(filename: str) -> None:
    hostile = {**RESULT, "wheel": {**RESULT["wheel"], "filename": filename}}
    with pytest.raises(ValueError, match=r"^it names the wheel"):
        read_result(json.dumps(hostile).encode(), "k")


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, json.dumps({**RESULT, "key": "other"}).encode()],
    ids=["empty", "list", "null", "object", "bytes", "deep", "another action's"],
)
def test_what_is_no_result_of_this_action_is_an_error(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_result(document, "k")


@pytest.mark.parametrize("field", sorted(set(RESULT) - {"reason", "interpreter", "tools", "network", "outcome"}))
def test_a_field_of_another_type_is_an_error(field: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_result(json.dumps({**RESULT, field: 7.5}).encode(), "k")
