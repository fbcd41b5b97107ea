"""Publishes the built wheels to the package index.

Takes every wheel in ``dist/wheels`` with its record and log, checks it, and puts it on the index so that installers
see a whole index at every instant. A wheel that is published keeps its bytes and its link.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import console, options
from tasks.core import publish_report
from tasks.core.candidates import Outcome, Result
from tasks.core.errors import BadInput, Failed, Refused, ServiceFailed
from tasks.core.filing import file_visits
from tasks.core.moments import fixed_moment
from tasks.core.protocol import Context, Settled, look, publish
from tasks.core.rebuilding import rebuild
from tasks.core.stock import FOLDERS, Stock
from tasks.core.yanking import yank
from tasks.distfiles import read_dist, read_folders
from tasks.matrixcache import load
from tasks.pages import Pages
from tasks.receipts import Receipt, made
from tasks.serve import serve
from tasks.services import ci
from tasks.stores.driver import drive
from tasks.stores.overlay import Overlay
from tasks.stores.places import is_bucket, open_store
from tasks.stores.probe import guarded, memory
from tasks.uploads import reading, uploads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.console import Console
    from tasks.core.matrix import Matrix
    from tasks.core.protocol import Opening
    from tasks.distfiles import DistFiles
    from tasks.stores import Store

CACHE = Path(".cache")
_LAST_PORT = 65535


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    return ci.ended("publish", console.run(_parser(), argv, ci.telling("publish", _stage)))


def _parser() -> argparse.ArgumentParser:
    parser = console.parser("publish", "Publish the built wheels to the package index.")
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="DIR",
        type=_directory,
        help="publish what lies in these folders, however deep, as CI artifacts do (default: what lies in --dist)",
    )
    options.add_index(parser)
    options.add_matrix(parser)
    options.add_dist(parser)
    parser.add_argument(
        "--require-records", action="store_true", help="refuse wheels that have no build record; the others go out"
    )
    parser.add_argument("--reason", metavar="TEXT", help="with --yank: why, for all who meet the wheel")
    parser.add_argument("--dry-run", action="store_true", help="write nothing; list every write")
    parser.add_argument(
        "--one-publisher",
        action="store_true",
        help="publish also to a bucket that does not honour conditional writes: nobody else publishes to it meanwhile",
    )
    parser.add_argument("--port", type=_port, help="the port for --serve (default: 8000, or a free one; 0: a free one)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--rebuild", action="store_true", help="make the index whole from the wheels in its packages/")
    mode.add_argument(
        "--yank",
        nargs="+",
        action="extend",
        metavar="WHEEL",
        help="mark published wheels as not to be chosen any more (PEP 592); they stay where they are",
    )
    mode.add_argument("--unyank", nargs="+", action="extend", metavar="WHEEL", help="take that mark off")
    mode.add_argument("--serve", action="store_true", help="publish nothing; show the index on loopback over HTTP")
    return parser


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {text!r}")
    return Path(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, expected 0 to 65535")
    return int(text)


def _stage(chosen: argparse.Namespace, out: Console) -> int:
    _refuse_contradictions(chosen)
    matrix = _matrix(chosen)
    store = open_store(_location(chosen, matrix))
    if chosen.serve:
        return serve(store, chosen.port, out, as_json=chosen.json)
    overlay = Overlay(store) if chosen.dry_run else None
    target = overlay or guarded(store, one_publisher=chosen.one_publisher, warn=out.warn)
    policy = matrix.policy if matrix else None
    context = Context(
        render=Pages(),
        token_of=target.token_of,
        upload_time=_upload_time(os.environ),
        policy=policy,
        list_meta={} if chosen.one_publisher else memory(store),  # who needs no proof leaves none
        static_json=is_bucket(store.location),
    )
    results = _results(chosen, target, context, out)
    _report(results, store.location, overlay, out)
    if not chosen.dry_run:
        ci.summarize("publish", publish_report.markdown(results, store.location), result_on_stdout=chosen.json)
    if chosen.json:
        writes = {"writes": overlay.writes} if overlay else {}
        wheels = [{"filename": one.filename, "note": one.note, "outcome": one.outcome.value} for one in results]
        console.emit_json({"index": store.location, "wheels": wheels, **writes})
    return _exit_code(results)


def _refuse_contradictions(chosen: argparse.Namespace) -> None:
    """Refuse options that would have no effect beside the others."""
    modes = {"--serve": chosen.serve, "--rebuild": chosen.rebuild, "--yank": chosen.yank, "--unyank": chosen.unyank}
    mode = next((name for name, wanted in modes.items() if wanted), "")
    if mode and chosen.folders:
        raise BadInput(f"{mode} publishes no folders: leave out {chosen.folders[0]}, or {mode}")
    if mode and chosen.require_records:
        raise BadInput(f"{mode} reads no records: leave out --require-records")
    if chosen.serve and chosen.dry_run:
        raise BadInput("--serve writes nothing anyway: leave out --dry-run")
    if chosen.serve and chosen.one_publisher:
        raise BadInput("--serve writes nothing: leave out --one-publisher")
    if chosen.port is not None and not chosen.serve:
        raise BadInput("--port is for --serve")
    if chosen.reason is not None and not chosen.yank:
        raise BadInput("--reason says why wheels are yanked: name them with --yank")
    if chosen.dist != Path(options.DIST) and not chosen.dist.is_dir():  # the default need not be there yet
        raise BadInput(f"--dist: there is no directory {chosen.dist}")


def _results(chosen: argparse.Namespace, store: Store, context: Context, out: Console) -> list[Result]:
    """Do what was chosen; return what became of each wheel."""
    if chosen.yank or chosen.unyank:
        reason = (chosen.reason or "") if chosen.yank else None
        return list(drive(yank(chosen.yank or chosen.unyank, reason, context), store))
    if chosen.rebuild:
        return _rebuild(store, context, out)
    opening = drive(look(), store)
    if chosen.folders:
        files = read_folders(chosen.folders)
        return _publish(store, context, files.recorded() if chosen.require_records else files, opening, out)[0]
    kept = Receipt.read(chosen.dist, store.location)
    counts = kept.still(opening.listed if opening.listing else None)
    files = read_dist(chosen.dist, counts.with_records() if chosen.require_records else counts)
    results, filed = _publish(store, context, files.recorded() if chosen.require_records else files, opening, out)
    receipt = made(results, counts, files.stamps, filed, opening.listed.serial if opening.listing else None)
    if not chosen.dry_run and files.stamps and receipt != kept:
        try:
            receipt.write(chosen.dist, store.location)
        except OSError as error:
            out.warn(f"no receipt is kept in {chosen.dist}: {error.strerror}; it only saves time")
    return results


def _matrix(chosen: argparse.Namespace) -> Matrix | None:
    """Return the matrix, None where there is none and nobody named one, or where it has nothing to say."""
    path = options.matrix_path(chosen)
    if chosen.serve and options.chosen_index(chosen):
        return None
    return load(path, CACHE / "matrix").matrix if options.names_matrix(chosen) or path.exists() else None


def _location(chosen: argparse.Namespace, matrix: Matrix | None) -> str:
    given = options.chosen_index(chosen)
    if given or matrix is None:
        return given or options.INDEX
    return options.index_of(matrix, options.matrix_path(chosen))


def _upload_time(environment: os._Environ[str]) -> str:
    """Return the time that new files get, in PEP 700's format."""
    moment = fixed_moment(environment) or datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _publish(
    store: Store, context: Context, files: DistFiles, opening: Opening, out: Console
) -> tuple[list[Result], set[str]]:
    """Publish the wheels, and file the visits; return what became of each wheel, and which visits are filed."""
    with uploads(out, len(files.wheels), sum(wheel.size for wheel in files.wheels)) as done:

        def returned(value: object) -> None:
            if isinstance(value, Settled):
                done(value.offered.size)

        results = drive(publish(files.wheels, context, opening=opening), store, returned=returned)
    unrecorded = {wheel.filename for wheel in files.wheels if wheel.record is None}
    for result in results:
        if result.outcome is Outcome.PUBLISHED and result.filename in unrecorded:
            out.warn(f"{result.filename} has no build record: nobody will know how it was built")
    filed = {name for name, _ in files.visits}
    try:
        drive(file_visits(files.visits), store)
    except ServiceFailed as error:
        if any(result.outcome is Outcome.PUBLISHED for result in results):
            raise
        out.warn(f"the visits are not filed: {error}")  # nothing else was to be written
        filed = set()
    unchanged = [Result(filename=name, outcome=Outcome.UNCHANGED) for name in files.published]
    return sorted([*results, *unchanged, *files.refused], key=lambda result: result.filename), filed


def _rebuild(store: Store, context: Context, out: Console) -> list[Result]:
    stock = Stock.of(path for folder in FOLDERS for path in store.list(folder))
    total = sum(len(wheels) for wheels in stock.wheels.values())
    out.info(f"{total} wheels of {len(stock.wheels)} projects are in {store.location}/packages")
    with reading(out, total) as done:

        def seen(filename: str) -> None:
            out.detail(f"looked at {filename}")
            done()

        return list(drive(rebuild(stock, context, seen), store))


def _report(results: Sequence[Result], location: str, overlay: Overlay | None, out: Console) -> None:
    for result in results:
        if result.outcome in {Outcome.REFUSED, Outcome.INVALID}:
            out.error(f"{result.filename}: {result.note}")
        elif result.note:
            out.warn(f"{result.filename}: {result.note}")
        else:
            out.detail(f"{result.filename}: {result.outcome.value}")
    if overlay:
        for path in overlay.writes:
            out.info(f"would write {path}")
    if not results:
        out.info(f"nothing to publish to {location}")
        return
    dry = " (dry run: nothing was written)" if overlay else ""
    out.info(f"{location}: {publish_report.counted(results)}{dry}")


def _exit_code(results: Sequence[Result]) -> int:
    outcomes = {result.outcome for result in results}
    if Outcome.REFUSED in outcomes:
        return Refused.exit_code
    return Failed.exit_code if Outcome.INVALID in outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
