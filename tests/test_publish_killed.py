from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tests.publishes import digest, environment, folder_to_publish_in, page, snapshot
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


def start(here: Path, dist: str, index: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tasks.publish", "--quiet", "--dist", dist, "--index", index]
    return subprocess.Popen(command, cwd=here, env=environment(), stderr=subprocess.DEVNULL)


def check_links(index: Path) -> None:
    """Check that every link on every state resolves to the stated bytes."""
    for state in index.glob("simple/*/index.json"):
        for file in page(index, state.parent.name).files:
            assert digest(index / "packages" / file.filename) == file.sha256
            assert digest(index / "packages" / f"{file.filename}.metadata") == file.core_metadata


def test_a_publisher_that_is_killed_leaves_whole_pages_and_the_rerun_completes_them(here: Path) -> None:
    for number in range(8):
        make_wheel(here / "dist" / "wheels", f"project{number % 3}", f"{number}.0")
    main(["--index", "undisturbed"])
    expected = snapshot(here / "undisturbed")
    interrupted = 0

    for files in (1, 2, 3, 5, 8, 11, 14, 17, 20, 22, 23, 24, 25):
        index = here / f"killed-{files}"
        publisher = start(here, "dist", index.name)
        while publisher.poll() is None and sum(len(found) for _, _, found in os.walk(index)) < files:
            time.sleep(0.0005)
        publisher.kill()
        publisher.wait()
        interrupted += not (index / "index.html").exists()
        check_links(index)

        assert main(["--index", index.name]) == 0

        assert snapshot(index) == expected
    assert interrupted >= 1


def test_an_interrupted_publisher_says_so_and_the_rerun_goes_on(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    slow = here / "dist" / "wheels" / "slow-1.0-py3-none-any.whl"
    os.mkfifo(slow)
    command = [sys.executable, "-m", "tasks.publish"]
    publisher = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    with slow.open("wb"):  # the publisher is reading it by now
        publisher.send_signal(signal.SIGINT)
        _, said = publisher.communicate()

    assert (publisher.returncode, said) == (130, "error: interrupted; run the same command again to go on\n")
    slow.unlink()
    assert main([]) == 0


def test_publishers_side_by_side_lose_no_link(here: Path) -> None:
    for number in range(6):
        for version in ("1", "2", "3"):
            make_wheel(here / f"dist{number}" / "wheels", "demo", f"{version}.{number}")
        make_wheel(here / f"dist{number}" / "wheels", f"own{number}")

    publishers = [start(here, f"dist{number}", "index") for number in range(6)]

    assert [publisher.wait() for publisher in publishers] == [0] * 6
    assert len(page(here / "index").files) == 18
    check_links(here / "index")
    listed = json.loads((here / "index" / "simple" / "index.json").read_bytes())
    assert [project["name"] for project in listed["projects"]] == ["demo", *(f"own{number}" for number in range(6))]
    before = snapshot(here / "index")
    assert main(["--index", "index", "--rebuild"]) == 0
    assert snapshot(here / "index") == before
