"""The worker that is this machine: its interpreters, its compilers, its user's rights. It installs nothing unasked."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import process
from tasks.core.errors import BadInput, Failed
from tasks.core.matrix import LOCAL
from tasks.scratch import private_directory, scratch
from tasks.services.interpreters import discover

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from tasks.core.targets import PythonTag
    from tasks.process import Running
    from tasks.services.interpreters import Discovered


class LocalWorker:
    """This machine, as :class:`tasks.workers.Worker` has it.

    Builds run below ``spare-tire-<uid>`` in the directory for temporary files (``TMPDIR`` moves it), which has to be
    this user's alone: whoever could write there could change what is built.
    """

    kind = LOCAL

    def __init__(self, *, may_install: bool = False) -> None:
        self.may_install = may_install
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._discovered: Discovered = discover()
        self.path = build_path(os.environ, sys.prefix, sys.base_prefix)
        self.installer = find_uv()
        try:
            root = private_directory(Path(tempfile.gettempdir()).resolve() / f"spare-tire-{os.geteuid()}")
            self._visit = self._held.enter_context(scratch(root, "visit-"))
        except PermissionError as error:
            raise BadInput(
                f"the scratch directory cannot be used: {error.strerror or error}; "
                "remove it, or set TMPDIR to a directory of your own"
            ) from error
        self.root = str(root)
        self.environments = str(root / "environments")
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def warnings(self) -> Sequence[str]:
        """Warn where nothing keeps a build away from the user's files."""
        if shutil.which("bwrap"):
            return ()
        return ("bubblewrap (bwrap) is not installed: builds run with all your rights; build trusted sources only",)

    def jobs(self, wished: int | None) -> int:
        """Return what is wished for, or the processors that this process may use."""
        return wished or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def pythons(self) -> Sequence[str]:
        """Return the interpreters that were discovered."""
        return [str(interpreter.executable) for interpreter in self._discovered.interpreters]

    def python_for(self, python: PythonTag) -> str:
        """Return an interpreter's path. Raises :class:`Failed`, naming those that are there."""
        found = self._discovered.get(python.tag)
        if found is None:
            raise Failed(self._discovered.why_not(python.tag))
        return str(found.executable)

    def put(self, source: Path | bytes, name: str) -> str:
        """Copy a file into the visit's directory."""
        path = self._visit / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            shutil.copyfile(source, path)
        return str(path)

    def put_all(self, files: Sequence[tuple[Path | bytes, str]]) -> list[str]:
        """Copy files into the visit's directory."""
        return [self.put(source, name) for source, name in files]

    def directory(self, name: str) -> str:
        """Make a directory in the visit's directory."""
        path = self._visit / name
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def get(self, path: str, destination: Path) -> None:
        """Copy a file out of the visit's directory; a link that a build may have left there is not followed."""
        if Path(path).is_symlink():
            raise FileNotFoundError(path)
        shutil.copyfile(path, destination, follow_symlinks=False)

    def stop(self) -> None:
        """Do nothing: no file is under way for long."""

    def start(self, argv: Sequence[str], on_line: Callable[[str], None]) -> Running:
        """Start a program, with this process's environment."""
        return process.start(argv, on_line, cwd=self._visit)


def build_path(environ: Mapping[str, str], prefix: str, base_prefix: str) -> str:
    """Return the ``PATH`` that builds get: this process's, without the virtual environment that it runs in."""
    own = {environ["VIRTUAL_ENV"]} if environ.get("VIRTUAL_ENV") else set()
    if prefix != base_prefix:
        own.add(prefix)
    shut_out = {Path(environment, "bin").resolve() for environment in own}
    entries = environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(
        entry for entry in entries if Path(entry).is_absolute() and Path(entry).resolve() not in shut_out
    )


def find_uv() -> str | None:
    """Return the program uv of this environment, where the platform has one."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - not every platform has it
    except ImportError:
        return None
    try:
        return os.fspath(find_uv_bin())
    except FileNotFoundError:
        return None
