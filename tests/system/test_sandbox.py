"""In the sandbox a build sees the system, its own directories, and nothing else."""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.workers.conftest import wheelhouse  # noqa: F401 - a fixture
from tests.workers.helper_jobs import Outcome, backend, job_for, perform, sdist_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is Linux's")]


def sandboxed(folder: Path, wheels: Path, code: str, **changes: object) -> Outcome:
    job = job_for(sdist_of(folder, backend(code)), folder, sandbox="require", wheelhouse=str(wheels))
    return perform({**job, **changes}, folder)


@pytest.fixture
def server() -> Iterator[int]:
    """A port of this machine's loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        threading.Thread(target=lambda: listening.accept()[0].close(), daemon=True).start()
        yield listening.getsockname()[1]
        with socket.create_connection(listening.getsockname()):
            pass  # lets the thread end


def test_the_sandbox_is_in_the_result(tmp_path: Path, wheelhouse: Path) -> None:  # noqa: F811 - the fixture
    outcome = sandboxed(tmp_path, wheelhouse, "pass")
    assert outcome.status == 0, outcome.log
    assert outcome.result["tools"]["sandbox"].startswith("bubblewrap ")
