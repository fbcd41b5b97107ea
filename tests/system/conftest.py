"""Tests that need more than Python. Each names its programs: ``@pytest.mark.needs("bwrap")``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from noxfile import PROGRAMS
from tests.system.hosts import Host, lacking, make_host

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def hosts() -> None:
    """Skip a test of hosts where there can be none; on a CI, fail it."""
    reason = lacking(PROGRAMS)
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def host(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    """Return a host of this test's own, with everything that builds need."""
    with make_host() as turned_on:
        yield turned_on


@pytest.fixture
def arm(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    """Return a host of this test's own that is emulated."""
    with make_host("arm64") as turned_on:
        yield turned_on


@pytest.fixture
def rust() -> Path:
    """Return the directory of a Rust toolchain; on a CI, fail where there is none."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    if shutil.which("rustc") is None:
        missing("rustc is not on PATH; rustup brings one with a directory of its own")
    found = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True)
    folder = Path(found.stdout.strip())
    if not (folder / "bin/cargo").is_file() or folder == Path("/usr"):
        missing(f"the Rust toolchain in {folder} has no directory of its own, as rustup's has")
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing; on a CI, where ``tests-system`` installs them, fail it."""
    for marker in item.iter_markers("needs"):
        (program,) = marker.args
        if shutil.which(program) is None:
            reason = f"{program} is not on PATH; `nox -s tests-system` installs it, as root on Debian"
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
