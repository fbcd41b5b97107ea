"""Tests that need more than Python. Each names its programs: ``@pytest.mark.needs("bwrap")``."""

from __future__ import annotations

import os
import shutil
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing; on a CI, where ``tests-system`` installs them, fail it."""
    for marker in item.iter_markers("needs"):
        (program,) = marker.args
        if shutil.which(program) is None:
            reason = f"{program} is not on PATH; `nox -s tests-system` installs it, as root on Debian"
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
