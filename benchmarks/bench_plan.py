"""A plan of 3,591 pins for four interpreters, every wheel there: seconds of the whole process, and requests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import statistics
import sys
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from benchmarks.report import Row, median_seconds, report
from tasks import plan, process
from tasks.core.actions import rules_digest
from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.matrix import Rules
from tasks.core.project_list import ProjectList
from tasks.stores.directory import DirectoryStore
from tasks.stores.places import STORES
from tests.stores.memory import CountingStore

ROOT = Path(__file__).parent.parent
PINS = 3591
PYTHONS = ("cp311", "cp312", "cp313", "cp314")
PLATFORMS = "manylinux_2_17_x86_64.manylinux2014_x86_64"
TARGETS = f"""\
public_index: http://127.0.0.1:1/simple
targets:
  linux: {{instance: ubuntu/24.04, arch: x86_64, platform_tag: manylinux_2_28_x86_64, python: [{", ".join(PYTHONS)}]}}
packages:
"""
"""Nobody answers at that public index: a question to it would fail the plan."""


def main() -> int:
    """Make a matrix and an index, and plan."""
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        folder = Path(made)
        pages = [_page(number) for number in range(PINS)]
        _publish(folder, pages)
        pins = "".join(f"  {page.name}: [{page.versions[0]}]\n" for page in pages)
        Path("wheel_matrix.yml").write_text(TARGETS + pins, encoding="utf-8")
        first, warm = _requests(folder), _requests(folder)
        rows = [
            Row(work="plan, all present", figure=median_seconds(_plan, 9), unit="s", at_most=0.6, note=_decided()),
            Row(work="of which processor time", figure=_processor_seconds(), unit="s"),
            Row(work="of which Python and its imports", figure=median_seconds(_imports, 9), unit="s"),
            Row(work="requests", figure=warm, unit="", at_most=1),
        ]
        _publish(folder, [page.merged([_wheel(page.name, "99.0", PYTHONS[0])]) for page in pages[:1]])
        rows.append(Row(work="requests, a page changed", figure=_requests(folder), unit="", at_most=2))
        rows.append(Row(work="requests, the first time", figure=first, unit="", at_most=PINS + 1))
        rows.append(Row(work="plan, the first time", figure=median_seconds(_cold, 3), unit="s"))
        return report("plan", rows)


def _wheel(name: str, version: str, python: str) -> IndexFile:
    filename = f"{name.replace('-', '_')}-{version}-{python}-{python}-{PLATFORMS}.whl"
    digest = hashlib.sha256(filename.encode()).hexdigest()
    return IndexFile(
        filename=filename,
        sha256=digest,
        size=1,
        upload_time="2026-01-02T03:04:05.000000Z",
        requires_python=">=3.8",
        core_metadata=digest,
        recipe=digest[:48] + rules_digest(Rules(), ()),
    )


def _page(number: int) -> ProjectPage:
    name = canonicalize_name(f"package-{number:04}")
    version = f"{number % 7}.{number % 13}.{number % 31 + 1}"
    return ProjectPage(name=name).merged(_wheel(name, version, python) for python in PYTHONS)


def _publish(folder: Path, pages: list[ProjectPage]) -> None:
    simple = folder / "dist/index/simple"
    for page in pages:
        (simple / page.name).mkdir(parents=True, exist_ok=True)
        (simple / page.name / "index.json").write_bytes(page.to_json())
    listing = simple / "index.json"
    listed = ProjectList.from_json(listing.read_bytes()) if listing.exists() else ProjectList()
    listing.write_bytes(listed.merged(pages).to_json())


def _requests(folder: Path) -> int:
    """Plan in this process; return how often our index was asked for anything."""
    stores: list[CountingStore] = []

    def open_counted(location: str) -> CountingStore:
        stores.append(CountingStore(DirectoryStore(location.removeprefix("counted://"))))
        return stores[-1]

    STORES["counted"] = open_counted
    if plan.main(["--quiet", "--index", f"counted://{folder}/dist/index"]):
        raise SystemExit("the plan failed")
    return sum(store.requests.total() for store in stores)


def _plan() -> None:
    ran = process.run([sys.executable, "-m", "tasks.plan", "--quiet"], env=_environment())
    if ran.returncode:
        raise SystemExit(ran.stderr)


def _processor_seconds() -> float:
    """Return what one plan takes of a processor: the same on a machine that has other work too."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    found = []
    for _ in range(9):
        before = used()
        _plan()
        found.append(used() - before)
    return statistics.median(found)


def _imports() -> None:
    process.run([sys.executable, "-c", "import tasks.plan"], env=_environment())


def _cold() -> None:
    for kept in Path(".cache").glob("*/*"):
        kept.unlink()
    _plan()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _decided() -> str:
    document = json.loads(Path("build/plan.json").read_bytes())
    return (
        f"{len(document['skipped'])} present, {len(document['actions'])} to build, {len(document['errors'])} in error"
    )


if __name__ == "__main__":
    sys.exit(main())
