"""Directories for work in progress: one's own while one lives, and removed by the next comer when one was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def scratch(parent: Path, prefix: str, may_go: Callable[[Path], bool] = lambda _: True) -> Iterator[Path]:
    """Make a new directory in ``parent``, which is made too, and remove it at the end.

    A lock file beside it is held for as long, which is how the next comer knows what a killed owner has left, and
    removes that first. Before any of them is removed, ``may_go`` does what it asks for; where it returns false, the
    directory stays for a later comer. Raises :class:`OSError` as it comes.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in sorted(parent.glob(f"{prefix}*.lock")):
        _remove_if_left(left, may_go)
    while True:
        path = parent / f"{prefix}{secrets.token_hex(6)}"
        lock = parent / f"{path.name}.lock"
        with lock.open("x") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not _is_there(held.fileno(), lock):
                continue  # another comer took it for left behind, between our making and our locking it
            path.mkdir(mode=0o700)
            try:
                yield path
            finally:
                if may_go(path):
                    _remove(path)
                    lock.unlink(missing_ok=True)
            return


def private_directory(path: Path) -> Path:
    """Make a directory that is this user's alone, or return the one that is there.

    Raises :class:`PermissionError` for one that others own or may enter: what they put there would be run.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    found = path.lstat()
    if not path.is_dir() or path.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{path} is not a directory of this user alone (mode 0700)")
    return path


def _remove_if_left(lock: Path, may_go: Callable[[Path], bool]) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError), lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if _is_there(held.fileno(), lock) and may_go(lock.with_suffix("")):
            _remove(lock.with_suffix(""))
            lock.unlink(missing_ok=True)


def _is_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
