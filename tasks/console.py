"""What a person sees, and how a stage ends: messages on standard error, results on standard output, one exit code."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import traceback
from functools import cached_property
from typing import TYPE_CHECKING

from tasks.core.errors import FAULT, INTERRUPTED, INTERRUPTION, ServiceFailed, SpareTireError
from tasks.core.logs import message as clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

    from rich.console import Console as RichConsole
    from rich.console import RenderableType


WIDE = 160
"""Columns of a table where there is no terminal: a log wraps lines by itself."""


def _terminal() -> RichConsole:
    """Return standard error; a reader that has gone silences it and changes no outcome."""
    from rich.console import Console as RichConsole  # noqa: PLC0415 - heavy: see ``Console.rich``

    class Terminal(RichConsole):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            _silence()

    # Not rich's own `is_terminal`, which is true of a log as well where FORCE_COLOR is set, as nox sets it.
    width = None if sys.stderr.isatty() or "COLUMNS" in os.environ else WIDE
    return Terminal(stderr=True, width=width, highlight=False, soft_wrap=True, emoji=False)


def _silence() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class Console:
    """Messages for people, at three levels: ``--quiet`` keeps errors and warnings, ``--verbose`` adds details."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose

    @cached_property
    def rich(self) -> RichConsole:
        """What styles and lays out; made when it is needed first: it takes 0.1 s to import."""
        return _terminal()

    def error(self, message: str) -> None:
        """Say what went wrong."""
        self._say("error", "red", message)

    def warn(self, message: str) -> None:
        """Say what the user should know although the stage goes on."""
        self._say("warning", "yellow", message)

    def info(self, message: str) -> None:
        """Say what is being done."""
        if self.quiet:
            return
        line = clean(message, os.environ)
        if "rich" in self.__dict__:  # it may be showing what moves, which only it can print above
            self.rich.print(line, markup=False)
            return
        try:
            print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:
            _silence()

    def detail(self, message: str) -> None:
        """Say what only helps to find a fault."""
        if self.verbose and not self.quiet:
            self.rich.print(clean(message, os.environ), markup=False, style="dim")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show rows under headings; cells wrap but for the first, so that a narrow terminal loses nothing."""
        if self.quiet:
            return
        from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - heavy: see ``rich``
        from rich.markup import escape  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        made = Table(box=SIMPLE_HEAD, pad_edge=False)
        for place, heading in enumerate(headings):
            made.add_column(heading, overflow="fold", no_wrap=place == 0)
        for row in rows:
            made.add_row(*(escape(clean(cell, os.environ)) for cell in row))
        self.rich.print(made, soft_wrap=False)

    def show(self, renderable: RenderableType) -> None:
        """Show a table or another rich renderable."""
        if not self.quiet:
            self.rich.print(renderable)

    def _say(self, label: str, style: str, message: str) -> None:
        from rich.markup import escape  # noqa: PLC0415 - heavy: see ``rich``

        self.rich.print(f"[bold {style}]{label}:[/] {escape(clean(message, os.environ))}")


def parser(stage: str, description: str) -> argparse.ArgumentParser:
    """Return the stage's argument parser with the options that every stage has."""
    made = argparse.ArgumentParser(prog=f"python -m tasks.{stage}", description=description, allow_abbrev=False)
    made.add_argument("--json", action="store_true", help="print the result as one JSON document on standard output")
    loudness = made.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="say only what is wrong")
    loudness.add_argument("--verbose", action="store_true", help="say more")
    return made


def run(
    made: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    stage: Callable[[argparse.Namespace, Console], int],
) -> int:
    """Parse ``argv``, run ``stage`` and turn every foreseen error into its messages and its exit code."""
    try:
        options = made.parse_intermixed_args(argv)  # `lint --json DIR` as well as `lint DIR --json`
    except SystemExit as stop:  # argparse has printed why; --help is 0, bad options are 2
        return int(stop.code or 0)
    console = Console(quiet=options.quiet, verbose=options.verbose)
    try:
        return stage(options, console)
    except SpareTireError as error:
        for message in error.messages:
            console.error(message)
        return error.exit_code
    except KeyboardInterrupt:
        console.error(INTERRUPTION)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last door
        console.error(f"this is a fault of spare-tire, please report it: {type(error).__name__}: {error}")
        if not options.verbose:
            console.error("--verbose shows where it happened")
        console.detail(traceback.format_exc().rstrip())
        return FAULT


def leave(code: int) -> NoReturn:
    """End the process at once, with nothing tidied up but what was printed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it is, where its descriptor was closed
            with contextlib.suppress(OSError):
                stream.flush()
    os._exit(code)


def number(count: int, one: str, many: str = "") -> str:
    """Return how many there are, in words: ``1 file``, ``2 files``."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def emit_json(document: object) -> None:
    """Print ``document`` on standard output, keys sorted."""
    emit(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def emit(text: str) -> None:
    """Print a result on standard output; a reader that has gone, as in ``… --json | head``, changes no outcome."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter tries again as it ends
        raise ServiceFailed(f"the result cannot be written to standard output: {error.strerror}") from error
