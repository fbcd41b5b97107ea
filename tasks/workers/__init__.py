"""Where wheels are built. One Protocol, one implementation a kind; ``open_worker`` chooses by the instance."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from tasks.console import Console
from tasks.core.errors import BadInput
from tasks.core.matrix import CORE_CI, LOCAL, SSH
from tasks.progress import Aside
from tasks.workers.core_ci import Lease
from tasks.workers.local import LocalWorker
from tasks.workers.ssh import SshWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from tasks.core.matrix import Instance
    from tasks.core.targets import PythonTag
    from tasks.process import Ended

__all__ = ["WORKERS", "Run", "Wanted", "Worker", "open_worker"]


class Run(Protocol):
    """A program that runs on a worker: one thread waits, any thread may stop it."""

    def stop(self) -> None:
        """Have it ended; :meth:`wait` returns when that is done."""
        ...

    def wait(self) -> Ended:
        """Hand its lines on until it ends.

        Raises :class:`Failed` where the worker is gone for good, :class:`Refused` where it comes back as another.

        ``lost`` says that the connection to the worker broke and was made again: it has ended, who knows how.
        """
        ...


class Worker(Protocol):
    """A host that builds. Entering gets hold of it, leaving lets go of it, whatever happened in between.

    Threads may share an entered worker. Paths on the worker are text; all but ``root`` lie in a directory that is this
    visit's own and goes with it.
    """

    kind: str
    """As the matrix names it: ``local``."""
    root: str
    """The scratch root of builds: the same path on every visit."""
    environments: str
    """Where builds leave environments for later ones, also of later visits: only the sandbox's builds get to see it."""
    path: str
    """The ``PATH`` of builds."""
    installer: str | None
    """The program uv, where the worker has it."""
    may_install: bool
    """Whether a visit may install system packages there."""

    def jobs(self, wished: int | None) -> int:
        """Return how many builds go side by side there: as many as are wished for, or its processors, if it can."""
        ...

    def __enter__(self) -> Self:
        """Get hold of the host. Raises :class:`ServiceFailed`, :class:`BadInput` or :class:`Refused`."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the host."""
        ...

    def warnings(self) -> Sequence[str]:
        """Return what the user should know before anything is built there."""
        ...

    def pythons(self) -> Sequence[str]:
        """Return the paths of the interpreters there, oldest first."""
        ...

    def python_for(self, python: PythonTag) -> str:
        """Return an interpreter's path. Raises :class:`Failed`, naming those that are there."""
        ...

    def put(self, source: Path | bytes, name: str) -> str:
        """Send a file and return its path there, which ends in the last part of ``name``.

        Bytes are put under ``name`` in the visit's directory (``/`` makes directories). A file, whose own name
        ``name`` has to end in, may be kept elsewhere, for visits to come.
        """
        ...

    def put_all(self, files: Sequence[tuple[Path | bytes, str]]) -> list[str]:
        """Send several files, each with its name; return their paths there."""
        ...

    def directory(self, name: str) -> str:
        """Make a directory in the visit's directory; return its path there."""
        ...

    def get(self, path: str, destination: Path) -> None:
        """Fetch a file. Raises :class:`FileNotFoundError` where there is none."""
        ...

    def stop(self) -> None:
        """Have what is under way besides programs end soon, as the whole visit does. Any thread may ask for it."""
        ...

    def start(self, argv: Sequence[str], on_line: Callable[[str], None]) -> Run:
        """Start a program there; its lines come as it prints them."""
        ...


class Constructor(Protocol):
    """What makes a worker, not yet entered."""

    def __call__(self, instance: Instance, arch: str, wanted: Wanted) -> Worker:
        """Make it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a visit wants of a worker besides its processor."""

    pythons: Sequence[PythonTag] = ()
    """The interpreters that are to build there, for a machine that starts without them."""
    may_install: bool = False
    """Whether system packages may be installed on this machine, where it is the worker: it is not ours to change."""
    aside: Aside = field(default_factory=lambda: Aside(Console(), os.environ))
    """Where what a program prints that gets hold of a machine is shown."""


def _local(instance: Instance, arch: str, wanted: Wanted) -> LocalWorker:  # noqa: ARG001 - it is this machine
    return LocalWorker(may_install=wanted.may_install)


def _ssh(instance: Instance, arch: str, wanted: Wanted) -> SshWorker:  # noqa: ARG001 - it is as it is
    return SshWorker(instance, arch)


def _core_ci(instance: Instance, arch: str, wanted: Wanted) -> SshWorker:
    return SshWorker(instance, arch, Lease(instance, arch, wanted.pythons, wanted.aside))


WORKERS: dict[str, Constructor] = {CORE_CI: _core_ci, LOCAL: _local, SSH: _ssh}
"""The constructor of each kind of worker."""


def open_worker(instance: Instance, arch: str, wanted: Wanted | None = None) -> Worker:
    """Return the worker of an instance, not yet entered. Raises :class:`BadInput` for a kind that there is none of.

    ``arch`` is the processor that it has to have, where that is a question.
    """
    if instance.worker not in WORKERS:
        known = ", ".join(sorted(WORKERS))
        raise BadInput(
            f"the instance {instance.name} needs a {instance.worker} worker, which spare-tire does not have yet; "
            f"it has: {known}"
        )
    return WORKERS[instance.worker](instance, arch, wanted or Wanted())
