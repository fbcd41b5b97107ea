"""Ten thousand wheels from their states to pages, HTML and JSON, beside dumb-pypi with its JSON input."""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from benchmarks.report import Row, report
from tasks import process
from tasks.core.candidates import Candidate
from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.protocol import Context, publish
from tasks.pages import Pages
from tasks.stores.directory import DirectoryStore
from tasks.stores.driver import drive
from tasks.stores.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECTS, VERSIONS, WHEELS = 250, 10, 4
UPLOADED = 1767323045
STAMP = datetime.fromtimestamp(UPLOADED, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
HERE = (sys.executable, "-m", "benchmarks.pages_of_states")


def main() -> int:
    """Write the same ten thousand wheels as states and as dumb-pypi's input, then time both in one run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        states, listed = folder / "states", folder / "packages.json"
        write_inputs(states, listed)
        dumb = [str(Path(sys.executable).with_name("dumb-pypi")), "--package-list-json", str(listed)]
        dumb += ["--packages-url", "../../packages", "--no-generate-timestamp", "--output-dir", str(folder / "dumb")]
        ours, theirs, more, fewer = alternately(
            [*HERE, str(states), str(folder / "ours")],
            dumb,
            [*HERE, str(states), str(folder / "more"), "releases"],
            [*dumb, "--no-per-release-json"],
        )
        writes = writes_of_nothing_new(folder / "index")
    wheels = f"{PROJECTS * VERSIONS * WHEELS} wheels"
    return report(
        "pages",
        [
            Row(work=f"{wheels}, state to HTML and JSON", figure=ours, unit="s"),
            Row(work="dumb-pypi, the same wheels", figure=theirs, unit="s", note="HTML and its release JSON"),
            Row(work="so we are faster", figure=theirs / ours, unit="×", at_least=4),
            Row(work="dumb-pypi without JSON of each release", figure=fewer, unit="s"),
            Row(
                work="ours with release JSON besides", figure=more, unit="s", note="all that dumb-pypi writes, and more"
            ),
            Row(work="publishing nothing new", figure=writes, unit="writes", at_most=0),
        ],
    )


def write_inputs(states: Path, listed: Path, projects: int = PROJECTS) -> None:
    """Write the projects' states, and dumb-pypi's list with the same names, hashes, times and requirements."""
    states.mkdir()
    with listed.open("w") as lines:
        for number in range(projects):
            files = list(_files(number))
            told = {file.filename: {"summary": "A project.", "requires_dist": ["other>=1"]} for file in files}
            page = ProjectPage(name=canonicalize_name(_name(number))).merged(files, told)
            (states / f"{page.name}.json").write_bytes(page.to_json())
            for file in files:
                line = {
                    "filename": file.filename,
                    "hash": f"sha256={file.sha256}",
                    "requires_python": file.requires_python,
                    "requires_dist": ["other>=1"],
                    "core_metadata": f"sha256={file.core_metadata}",
                    "upload_timestamp": UPLOADED,
                }
                lines.write(json.dumps(line) + "\n")


def writes_of_nothing_new(index: Path) -> int:
    """Publish some wheels in a directory; return what publishing them again would write."""
    wheels = [_candidate(file) for number in range(3) for file in _files(number)]
    for store in (DirectoryStore(str(index)), overlay := Overlay(DirectoryStore(str(index)))):
        drive(publish(wheels, Context(render=Pages(), token_of=store.token_of, upload_time=STAMP)), store)
    return len(overlay.writes)


def _candidate(file: IndexFile) -> Candidate:
    data = file.filename.encode()
    return Candidate(
        filename=file.filename,
        project=canonicalize_name(file.filename.rpartition("-1.")[0]),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        metadata=b"Requires-Python: >=3.9",
        source=data,
    )


def alternately(*programs: list[str]) -> list[float]:
    """Run programs in turn, five times, so that what else the machine does meets all; return each one's median."""
    found: list[list[float]] = [[] for _ in programs]
    for _ in range(5):
        for program, seconds in zip(programs, found, strict=True):
            start = time.perf_counter()
            ended = process.run(program)
            seconds.append(time.perf_counter() - start)
            if ended.returncode:
                raise RuntimeError(ended.stderr)
    return [statistics.median(seconds) for seconds in found]


def _name(number: int) -> str:
    return f"project_{number}" if number else "markupsafe"


def _files(number: int) -> Iterator[IndexFile]:
    for version in range(VERSIONS):
        for python in range(WHEELS):
            tag = f"cp31{python}-cp31{python}-freebsd_15_1_release_amd64"
            filename = f"{_name(number)}-1.{version}-{tag}.whl"
            digest = hashlib.sha256(filename.encode()).hexdigest()
            yield IndexFile(
                filename=filename,
                sha256=digest,
                size=12345,
                upload_time=STAMP,
                requires_python=">=3.9",
                core_metadata=digest[::-1],
                recipe=digest,
            )


if __name__ == "__main__":
    sys.exit(main())
