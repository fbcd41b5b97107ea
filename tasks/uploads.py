"""What publishing shows while it goes on: a bar on a terminal, elsewhere a line now and then. All on standard error."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tasks.console import Console

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""
_MB = 1_000_000


@contextmanager
def uploads(console: Console, wheels: int, size: int, *, every: float = EVERY) -> Iterator[Callable[[int], None]]:
    """Show how far publishing so many wheels has come, of ``size`` bytes altogether.

    Gives what is to be told the size of each wheel that is done with, by one thread.
    """
    if console.quiet or not wheels:
        yield lambda _: None
    elif console.rich.file.isatty():
        with _bar(console, wheels, size) as done:
            yield done
    else:
        yield _lines(console, wheels, size, every)


@contextmanager
def reading(console: Console, wheels: int, *, every: float = EVERY) -> Iterator[Callable[[], None]]:
    """Show how far a rebuild has come that looks at so many stored wheels; gives what is to be called after each."""
    if console.quiet or not wheels:
        yield lambda: None
    elif console.rich.file.isatty():
        with _plain_bar(console, wheels) as done:
            yield done
    else:
        lines = _lines(console, wheels, None, every)
        yield lambda: lines(0)


@contextmanager
def _plain_bar(console: Console, wheels: int) -> Iterator[Callable[[], None]]:
    from rich.progress import (  # noqa: PLC0415 - heavy: see ``Console.rich``
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("looking at wheels"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console.rich, transient=True) as progress:
        bar = progress.add_task("", total=wheels)
        yield lambda: progress.advance(bar)


@contextmanager
def _bar(console: Console, wheels: int, size: int) -> Iterator[Callable[[int], None]]:
    from rich.progress import (  # noqa: PLC0415 - heavy: see ``Console.rich``
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("publishing"),
        BarColumn(),
        TextColumn("{task.fields[count]} of {task.fields[wheels]} wheels"),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console.rich, transient=True) as progress:
        bar = progress.add_task("", total=size, count=0, wheels=wheels)
        count = 0

        def done(size: int) -> None:
            nonlocal count
            count += 1
            progress.update(bar, advance=size, count=count)

        yield done


def _lines(console: Console, wheels: int, size: int | None, every: float) -> Callable[[int], None]:
    count = sent = 0
    said = time.monotonic()

    def done(more: int) -> None:
        nonlocal count, sent, said
        count, sent = count + 1, sent + more
        if time.monotonic() - said >= every and count < wheels:
            said = time.monotonic()
            much = "" if size is None else f", {sent / _MB:.1f} of {size / _MB:.1f} MB"
            console.info(f"{count} of {wheels} wheels{much}")

    return done
