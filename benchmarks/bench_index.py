"""The index in a bucket: what publishing costs at any size, and what it takes beside s3pypi and dumb-pypi."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import far_plan
from benchmarks.bench_pages import HERE, VERSIONS, WHEELS, write_inputs
from benchmarks.far_away import far_away, passing_to
from benchmarks.plot import Series, plot
from benchmarks.report import Row, report
from benchmarks.s3_server import CREDENTIALS, s3_server
from tasks import process
from tasks.core.index import LIST_HTML_PATH, LIST_PATH, ProjectPage, page_path
from tasks.core.project_list import ProjectList
from tasks.pages import Pages
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.far_away import FarAway
    from benchmarks.s3_server import S3Server

ROOT = Path(__file__).resolve().parents[1]
DELAY = 0.06
"""Seconds that each request to the store takes besides."""
SIZES = (1_000, 10_000, 100_000)
WHEELS_OF_A_PROJECT = VERSIONS * WHEELS
FIRST = 1_000
"""Wheels of a first publish."""
INSTALLERS = ("packages", "simple", "json")
"""The folders that installers read."""


def main() -> int:
    """Measure in a directory of its own, against a real S3 server behind one that counts and takes its time."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bench-index-") as folder:
        os.chdir(folder)
        try:
            with s3_server() as server:
                built = _built()
                counts = {size: _one_more(server, size, built) for size in SIZES}
                rows = [*_nothing(server, built), *_more(counts)]
            with s3_server() as server:  # another: that one goes through its hundred thousand objects ever again
                rows += [*_first(server), *far_plan.rows(server)]
            changed = {size: _rewritten(size) for size in SIZES[:-1]}
            for size, sent in changed.items():
                rows += _theirs(f"dumb-pypi, {size:,} on the index", sent)
            rows += [*_pages(10_000, 5), *_pages(100_000, 3, memory=500)]
        finally:
            os.chdir(before)
    ended = report("index", rows)
    ours = Series("spare-tire", {size: count.total for size, count in counts.items()})
    one_more = {size: sent.one_more for size, sent in changed.items()}
    theirs = Series("dumb-pypi, by default: the pages that change", one_more)
    plot("index", "Requests to publish one more wheel", "wheels on the index", "requests", [ours, theirs])
    return ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a publish asked of the bucket."""

    total: int
    writes: int
    for_installers: int

    @classmethod
    def of(cls, far: FarAway) -> Count:
        """Count what the server was asked."""
        return cls(total=len(far.requests), writes=far.writes, for_installers=far.count(*INSTALLERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The requests that another tool's publish takes, or would take to send what it has changed."""

    one_more: int
    """With one more wheel."""
    nothing: int
    """With nothing new."""


def _built() -> Path:
    """Build a real wheel, so that it has its record, its log and its visit; return the directory."""
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    matrix = {
        "instances": {"local": {"worker": "local"}},
        "targets": {"host": {"instance": "local", "upstream": "ignore", "python": [here]}},
        "packages": {"MarkupSafe": ["3.0.3"]},
    }
    Path("wheel_matrix.yml").write_text(json.dumps(matrix))
    _run("tasks.plan", "--quiet")
    _run("tasks.build", "--quiet")
    return Path("dist").rename("built")


def _index(size: int) -> dict[str, bytes]:
    """Return the states and lists of an index of so many wheels, of which one project is MarkupSafe."""
    folder = Path(f"inputs-{size}")
    folder.mkdir()
    write_inputs(folder / "states", folder / "packages.json", size // WHEELS_OF_A_PROJECT)
    pages = [ProjectPage.from_json(path.read_bytes(), str(path)) for path in sorted((folder / "states").iterdir())]
    listed = ProjectList().merged(pages)
    objects = {page_path(page.name): page.to_json() for page in pages}
    return {**objects, LIST_PATH: listed.to_json(), LIST_HTML_PATH: Pages().projects(listed)}


def _one_more(server: S3Server, size: int, built: Path) -> Count:
    """Publish one more wheel with its record, its log and its visit on an index of so many."""
    bucket = server.bucket(_index(size))
    with _far(server, bucket) as (far, environment):
        shutil.rmtree("dist", ignore_errors=True)
        make_wheel(Path("dist/wheels"), "MarkupSafe", "0.1")  # the project's first
        _publish(environment)
        shutil.rmtree("dist")
        shutil.copytree(built, "dist")
        far.requests.clear()
        _publish(environment)
        return Count.of(far)


def _more(counts: Mapping[int, Count]) -> Iterator[Row]:
    for size, count in counts.items():
        what = f"one more wheel, {size:,} on the index"
        yield Row(work=f"{what}, for installers", figure=count.for_installers, unit="requests", at_most=10)
        yield Row(
            work=f"{what}, with record, log and visit",
            figure=count.total,
            unit="requests",
            at_most=20,
            note=f"{count.writes} writes",
        )
    different = len({(count.total, count.writes, count.for_installers) for count in counts.values()}) - 1
    yield Row(work="sizes at which that is not the same", figure=different, unit="", at_most=0)


def _nothing(server: S3Server, built: Path) -> Iterator[Row]:
    """Publish where there is nothing to publish."""
    with _far(server, server.bucket()) as (far, environment):
        shutil.rmtree("dist", ignore_errors=True)
        shutil.copytree(built, "dist")
        _publish(environment)
        for what in ("nothing new since the last publish", "nothing in dist"):
            far.requests.clear()
            _publish(environment)
            count = Count.of(far)
            yield Row(work=what, figure=count.total, unit="requests", at_most=2, note=f"{count.writes} writes")
            yield Row(work=what, figure=count.writes, unit="writes", at_most=0)
            shutil.rmtree("dist", ignore_errors=True)


def _first(server: S3Server) -> Iterator[Row]:
    """Publish a thousand wheels into an empty bucket, and those of some projects with s3pypi."""
    shutil.rmtree("dist", ignore_errors=True)
    projects = [f"project_{number}" for number in range(FIRST // WHEELS_OF_A_PROJECT)]
    wheels = {project: list(_wheels_of(project)) for project in projects}
    with _far(server, server.bucket()) as (far, environment):
        seconds = _timed(lambda: _publish(environment)) / FIRST
        requests = len(far.requests) / FIRST
    few = [str(wheel) for project in projects[:3] for wheel in wheels[project]]
    with _far(server, bucket := server.bucket()) as (far, environment):
        argv = [_program("s3pypi"), "upload", *few, "--bucket", bucket, "--s3-endpoint-url", far.url, "--index.html"]
        argv += ["--put-root-index"]
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = server.url
        theirs = _timed(lambda: _check(argv, environment)) / len(few)
        their_requests = len(far.requests) / len(few)
        more = str(make_wheel(Path("dist/wheels"), projects[0], "2.0"))
        again = _counted(far, lambda: _check([*argv[:2], more, *argv[2 + len(few) :]], environment))
    yield Row(
        work=f"first publish of {FIRST:,} wheels, {DELAY * 1000:.0f} ms a request",
        figure=seconds * 1000,
        unit="ms a wheel",
        note=f"{requests:.2f} requests a wheel, metadata and JSON too",
    )
    yield Row(
        work=f"s3pypi, {len(few)} of them",
        figure=theirs * 1000,
        unit="ms a wheel",
        note=f"{their_requests:.2f} requests a wheel",
    )
    yield Row(work="so we are faster", figure=theirs / seconds, unit="×", at_least=5)
    yield from _theirs(f"s3pypi, {len(few)} on the index", again)


def _counted(far: FarAway, upload: Callable[[], object]) -> Theirs:
    """Count the requests of an upload of one more wheel, and of the same one again."""
    counts = []
    for _ in range(2):
        far.requests.clear()
        upload()
        counts.append(len(far.requests))
    return Theirs(one_more=counts[0], nothing=counts[1])


def _theirs(where: str, sent: Theirs) -> Iterator[Row]:
    yield Row(work=f"{where}, one more wheel", figure=sent.one_more, unit="requests")
    yield Row(work=f"{where}, nothing new", figure=sent.nothing, unit="requests")


def _wheels_of(project: str) -> Iterator[Path]:
    """Write a project's wheels: ten versions, each for four interpreters, as everywhere in these benches."""
    for version in range(VERSIONS):
        for python in range(WHEELS):
            tag = f"cp31{python}-cp31{python}-freebsd_15_1_release_amd64"
            yield make_wheel(Path("dist/wheels"), project, f"1.{version}", tag=tag, headers="Requires-Python: >=3.9\n")


def _pages(size: int, times: int, memory: float | None = None) -> Iterator[Row]:
    """Render the pages of so many wheels from their states, and with dumb-pypi."""
    folder = Path(f"inputs-{size}")
    rendering = [*HERE, str(folder / "states"), str(folder / "ours")]
    ours, theirs = [], []
    for _ in range(times):
        ours.append(_timed(lambda: _check(rendering, {"PYTHONPATH": str(ROOT)})))
        theirs.append(_timed(lambda: _check(_dumb(folder, folder / "dumb"), {})))
        for name in ("ours", "dumb"):
            shutil.rmtree(folder / name)
    peak = _peak(rendering)
    seconds, dumb = sorted(ours)[len(ours) // 2], sorted(theirs)[len(theirs) // 2]
    what = f"pages of {size:,} wheels from state"
    yield Row(work=f"{what}, HTML and JSON", figure=seconds, unit="s", note=f"dumb-pypi {dumb:.1f} s")
    yield Row(work=f"{what}, faster than dumb-pypi", figure=dumb / seconds, unit="×", at_least=4)
    yield Row(work=f"{what}, peak memory", figure=peak, unit="MB", at_most=memory)


def _rewritten(size: int) -> Theirs:
    """Return how many files of dumb-pypi's change, with one more wheel and with none, and the requests to list them.

    By default it writes the time on each page, so that all of them change.
    """
    folder = Path(f"inputs-{size}")
    before, again = _tree(folder), _tree(folder)
    line = json.loads((folder / "packages.json").read_text().splitlines()[0])
    line["filename"] = line["filename"].replace("-1.0-", "-0.1-")
    with (folder / "packages.json").open("a") as lines:
        lines.write(json.dumps(line) + "\n")
    return Theirs(one_more=_sent(again, _tree(folder)) + 1, nothing=_sent(before, again))  # and the wheel itself


def _tree(folder: Path) -> dict[Path, bytes]:
    """Return what dumb-pypi writes, in a second of its own."""
    output = folder / "tree"
    _check(_dumb(folder, output), {})
    found = {path.relative_to(output): path.read_bytes() for path in _files(output)}
    shutil.rmtree(output)
    time.sleep(1)
    return found


def _sent(before: Mapping[Path, bytes], after: Mapping[Path, bytes]) -> int:
    """Return the requests that list what is there, and send what has changed."""
    return -(-len(after) // 1000) + sum(before.get(path) != data for path, data in after.items())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _dumb(folder: Path, output: Path) -> list[str]:
    argv = [_program("dumb-pypi"), "--package-list-json", str(folder / "packages.json"), "--output-dir", str(output)]
    return [*argv, "--packages-url", "../../packages"]


@contextmanager
def _far(server: S3Server, bucket: str) -> Iterator[tuple[FarAway, dict[str, str]]]:
    """Give the bucket's server, far away, and the variables that lead a program to it."""
    with far_away(passing_to(server.url), DELAY) as far:
        place = {"AWS_ENDPOINT_URL_S3": far.url, "SPARE_TIRE_INDEX": f"s3://{bucket}"}
        yield far, {**CREDENTIALS, **place, "PYTHONPATH": str(ROOT)}


def _publish(environment: Mapping[str, str]) -> None:
    _check([sys.executable, "-m", "tasks.publish", "--quiet"], environment)


def _run(module: str, *options: str) -> None:
    _check([sys.executable, "-m", module, *options], {"PYTHONPATH": str(ROOT)})


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak(argv: list[str]) -> float:
    """Return the most memory that a program took, in MB."""
    program = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], check=True); "
    program += "print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    return int(_check([sys.executable, "-c", program, *argv], {"PYTHONPATH": str(ROOT)})) / 1024


def _check(argv: list[str], environment: Mapping[str, str]) -> str:
    """Run a program; return what it printed. One that fails ends the bench."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARE_TIRE_"))}
    done = process.run(argv, env={**kept, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:6])}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
