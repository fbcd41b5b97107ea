"""Where wheels are built. One Protocol, one implementation a kind; ``open_worker`` chooses by the instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from tasks.core.errors import BadInput
from tasks.core.matrix import LOCAL
from tasks.workers.local import LocalWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from tasks.core.matrix import Instance
    from tasks.core.targets import PythonTag
    from tasks.process import Running

__all__ = ["WORKERS", "Worker", "open_worker"]


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

    def __enter__(self) -> Self:
        """Get hold of the host. Raises :class:`ServiceFailed` or :class:`BadInput`."""
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
        """Send a file, under ``name`` in the visit's directory (``/`` makes directories); return its path there."""
        ...

    def directory(self, name: str) -> str:
        """Make a directory in the visit's directory; return its path there."""
        ...

    def get(self, path: str, destination: Path) -> None:
        """Fetch a file. Raises :class:`FileNotFoundError` where there is none."""
        ...

    def start(self, argv: Sequence[str], on_line: Callable[[str], None]) -> Running:
        """Start a program there; its lines come as it prints them."""
        ...


class Constructor(Protocol):
    """What makes a worker, not yet entered."""

    def __call__(self, *, may_install: bool) -> Worker:
        """Make it; ``may_install`` is for the machine of the one who asks, whose system is not ours to change."""
        ...


WORKERS: dict[str, Constructor] = {LOCAL: LocalWorker}
"""The constructor of each kind of worker."""


def open_worker(instance: Instance, *, may_install: bool = False) -> Worker:
    """Return the worker of an instance, not yet entered. Raises :class:`BadInput` for a kind that there is none of.

    ``may_install`` says whether system packages may be installed on this machine, where that is the worker.
    """
    if instance.worker not in WORKERS:
        known = ", ".join(sorted(WORKERS))
        raise BadInput(
            f"the instance {instance.name} needs a {instance.worker} worker, which spare-tire does not have yet; "
            f"it has: {known}"
        )
    return WORKERS[instance.worker](may_install=may_install)
