"""Tests that need more than Python. Each names its programs: ``@pytest.mark.needs("bwrap")``."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing; on a CI, where ``tests-system`` installs them, fail it."""
    for marker in item.iter_markers("needs"):
        (program,) = marker.args
        if shutil.which(program) is None:
            reason = f"{program} is not on PATH; `nox -s tests-system` installs it, as root on Debian"
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
