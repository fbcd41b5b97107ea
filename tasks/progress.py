"""What a visit shows while it goes on: live lines on a terminal, one folded group per action on a CI, else plain lines.

All of it goes to standard error. What builds print is shown without control sequences, and to a CI without commands.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.console import Group
from rich.live import Live as RichLive
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tasks.core.logs import folding, group, harmless, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from tasks.console import Console
    from tasks.core.logs import Folding
    from tasks.core.records import ActionOutcome

STEP = "spare-tire: "
"""Begins the lines in which the helper says what it does."""


class Display(Protocol):
    """Shows a visit. Threads may share it; actions are told apart by their titles."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """Show no more."""
        ...

    def started(self, title: str) -> None:
        """An action begins."""
        ...

    def line(self, title: str, line: str) -> None:
        """An action has printed a line."""
        ...

    def finished(self, title: str, outcome: ActionOutcome, log: Iterable[str]) -> None:
        """An action has ended; ``log`` gives all that it printed."""
        ...


class Aside:
    """Shows what a program prints that serves a visit and is no build: to a CI in folded groups, as it comes.

    Elsewhere it is a detail. Threads may share it; what comes between two groups is shown in the later one.
    """

    def __init__(self, console: Console, environ: Mapping[str, str]) -> None:
        self._console = console
        self._how = folding(environ)
        self._open = False
        self._waiting: list[str] = []
        self._lock = threading.Lock()

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Show the lines that come meanwhile under a title, which says what goes on."""
        self._begin(title)
        try:
            yield
        finally:
            with self._lock:
                self._open = False
                if self._how is not None and not self._console.quiet:
                    self._write(self._how.end)

    def _begin(self, title: str) -> None:
        if self._how is None:
            self._console.info(title)
        with self._lock:
            if self._how is not None and not self._console.quiet:
                self._write(f"{self._how.begin}{harmless(title)}")
            self._open = True
            for text in self._waiting:
                self._show(text)
            self._waiting.clear()

    def line(self, text: str, *, is_command: bool = False) -> None:
        """Show a line; one that ``is_command`` reaches a CI as it is, at once, and nobody else."""
        with self._lock:
            if self._open or is_command:
                self._show(text, is_command=is_command)
            else:
                self._waiting.append(text)

    def warn(self, message: str) -> None:
        """Say what the user should know."""
        self._console.warn(message)

    def _show(self, text: str, *, is_command: bool = False) -> None:
        if self._how is None:
            self._console.detail(plain(text))
        elif is_command:
            self._write(text)
        elif not self._console.quiet:
            self._write(harmless(text))

    def _write(self, line: str) -> None:
        stream = self._console.rich.file
        stream.write(f"{line}\n")
        stream.flush()


def display(console: Console, visit: str, total: int, environ: Mapping[str, str]) -> Display:
    """Return the display for where standard error goes."""
    if how := folding(environ):
        return Folded(console, how)
    if console.rich.file.isatty() and not console.quiet:
        return Live(console, visit, total)
    return Lines(console)


class Lines:
    """A line for each beginning and end; ``--verbose`` adds everything in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, title: str) -> None:
        """Say so."""
        with self._lock:
            self._console.info(f"building {title}")

    def line(self, title: str, line: str) -> None:
        """Say it if details are wanted."""
        with self._lock:
            self._console.detail(f"{title}: {plain(line)}")

    def finished(self, title: str, outcome: ActionOutcome, log: Iterable[str]) -> None:  # noqa: ARG002
        """Say how it ended."""
        with self._lock:
            self._console.info(_ending(title, outcome))


class Folded:
    """On a CI: what an action printed comes in one piece, folded, when it has ended; then how it ended."""

    def __init__(self, console: Console, how: Folding) -> None:
        self._console = console
        self._how = how
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, title: str) -> None:
        """Nothing: the group comes in one piece."""

    def line(self, title: str, line: str) -> None:
        """Nothing: it comes with the others."""

    def finished(self, title: str, outcome: ActionOutcome, log: Iterable[str]) -> None:
        """Print the group."""
        if self._console.quiet and outcome.outcome == "built":
            return
        stream = self._console.rich.file
        with self._lock:
            for line in group(self._how, title, log):
                stream.write(f"{line}\n")
            stream.write(f"{harmless(_ending(title, outcome))}\n")
            stream.flush()


@dataclass
class Live:
    """On a terminal: a line for each running action with its step and time, and a bar for the visit."""

    console: Console
    visit: str
    total: int
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._actions = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[step]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=self.console.rich,
        )
        self._whole = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console.rich,
        )
        self._bar = self._whole.add_task(self.visit, total=self.total)
        self._live = RichLive(Group(self._actions, self._whole), console=self.console.rich, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, title: str) -> None:
        """Add its line."""
        self._tasks[title] = self._actions.add_task(title, total=None, step="")

    def line(self, title: str, line: str) -> None:
        """Show what it is doing, in the first word of a step; with ``--verbose`` the line itself above the others."""
        clean = plain(line)
        if clean.startswith(STEP):
            self._actions.update(self._tasks[title], step=clean.removeprefix(STEP).partition(" ")[0])
        if self.console.verbose:
            self._live.console.print(Text(f"{title}: {clean}", style="dim"))

    def finished(self, title: str, outcome: ActionOutcome, log: Iterable[str]) -> None:  # noqa: ARG002
        """Take its line away, and move the bar."""
        self._actions.remove_task(self._tasks.pop(title))
        self._whole.advance(self._bar)
        self._live.console.print(Text(_ending(title, outcome)))


def _ending(title: str, outcome: ActionOutcome) -> str:
    if outcome.outcome == "built":
        return f"built {outcome.wheel} in {outcome.seconds:.0f} s"
    return f"{outcome.outcome} {title}: {outcome.reason}"


def checks_share(outcomes: Sequence[ActionOutcome]) -> str | None:
    """Return in a line what part of the builds' time the checks took; ``None`` where nothing was built."""
    whole = sum(outcome.seconds for outcome in outcomes if outcome.outcome == "built")
    checks = sum(outcome.check_seconds for outcome in outcomes if outcome.outcome == "built")
    return f"checks took {checks:.1f} s, {checks / whole:.0%} of {whole:.1f} s" if whole and checks else None


def show_summary(console: Console, outcomes: Sequence[ActionOutcome], dist: str, environ: Mapping[str, str]) -> None:
    """Show what was built, kept and failed; of failures, whatever the loudness, the last lines and where the log is."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in range(3):
        table.add_column(overflow="fold", no_wrap=column == 0)
    clean = harmless if folding(environ) else plain
    styles = {"built": "green", "kept": "dim", "shared": "dim"}
    for outcome in outcomes:
        seconds = f"{outcome.seconds:.1f} s" if outcome.outcome == "built" else ""
        table.add_row(
            Text(outcome.outcome, style=styles.get(outcome.outcome, "bold red")),
            Text(outcome.wheel or outcome.action.wheel.filename),
            Text(seconds),
        )
    console.show(table)
    if share := checks_share(outcomes):
        console.info(share)
    for outcome in outcomes:
        if outcome.outcome in styles:
            continue
        for line in outcome.tail:
            console.rich.print(Text(f"  | {clean(line)}", style="dim"))
        where = f"; the log is {dist}/{outcome.log}" if outcome.log else ""
        console.error(f"{outcome.action.wheel.filename}: {clean(outcome.reason or '')}{where}")
