"""Writes ``dist/``: wheels, their records and logs, and visits. What is there is always whole."""

from __future__ import annotations

import gzip
import json
import secrets
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.addresses import without_credentials
from tasks.core.logs import plain
from tasks.core.provenance import UnfitRecord, recipe_of
from tasks.core.records import visit_name
from tasks.scratch import scratch
from tasks.wheelfile import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import Self

TAIL = 15
"""Lines of a failure that are shown where it is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A wheel that a former run built."""

    filename: str
    sha256: str


UNFIT = (ValueError, KeyError, TypeError, RecursionError)
"""What :func:`yielded` raises for what is no visit's report."""


def yielded(report: bytes) -> Iterator[tuple[str, Kept]]:
    """Yield what each action of a visit yielded, by recipe key. Raises one of :data:`UNFIT`."""
    for each in json.loads(report)["actions"]:
        if each["wheel"] and each["sha256"]:
            yield str(each["key"]), Kept(filename=str(each["wheel"]), sha256=str(each["sha256"]))


class DistDir:
    """The directory that ``build`` writes and ``publish`` reads; it is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def kept(self) -> dict[str, Kept]:
        """Return the wheels that are there, whole and with their records, by recipe key.

        A wheel may have more keys than its record's: visits tell of which actions it was the outcome too.
        """
        found: dict[str, Kept] = {}
        whole: set[Kept] = set()
        for path in sorted((self.root / "records").glob("*.whl.json")):
            wheel = self.root / "wheels" / path.name.removesuffix(".json")
            if not wheel.is_file():
                continue
            sha256 = sha256_of(wheel)
            try:
                key = recipe_of(path.read_bytes(), sha256)
            except UnfitRecord:
                continue
            if key is not None:
                found[key] = Kept(filename=wheel.name, sha256=sha256)
                whole.add(found[key])
        for key, kept in self._visited():
            if kept in whole:
                found.setdefault(key, kept)
        return found

    def wheels_of(self, project: str) -> dict[str, Path]:
        """Return the wheels of a project that are whole and were checked, which their records say, by file name.

        Backends write the name in either case and with dots, so it is compared in its normal form.
        """
        every = sorted((self.root / "wheels").glob("*.whl"))
        found = [path for path in every if canonicalize_name(path.name.partition("-")[0]) == project]
        return {path.name: path for path in found if (self.root / "records" / f"{path.name}.json").is_file()}

    def _visited(self) -> Iterator[tuple[str, Kept]]:
        """Yield what former visits say that each action yielded; a report that cannot be read says nothing."""
        for path in sorted((self.root / "visits").glob("*.json")):
            with suppress(*UNFIT):
                yield from yielded(path.read_bytes())

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a directory on the same file system, for what is not whole yet; it goes at the end."""
        parent = self.root / ".staging"
        try:
            with scratch(parent, "run-") as path:
                yield path
        finally:
            with suppress(OSError):  # another run works there
                parent.rmdir()

    def keep(self, wheel: Path, record: bytes, log: Path) -> str:
        """Move a checked wheel, its record and its log into place; return the log's path below ``dist``.

        What a former run left under the same name is replaced; of one run only the first wheel of a name comes here
        (``tasks.core.sharing``). The record comes last: where it is, a rerun takes the action as done.
        """
        record_path = self._in("records", f"{wheel.name}.json")
        record_path.unlink(missing_ok=True)
        kept = self.keep_log(wheel.name, log)
        wheel.replace(self._in("wheels", wheel.name))
        self._write(record_path, record)
        return kept

    def keep_log(self, name: str, log: Path) -> str:
        """Move a log into place; return its path below ``dist``."""
        log.replace(self._in("logs", f"{name}.txt.gz"))
        return f"logs/{name}.txt.gz"

    def forget_log(self, name: str) -> None:
        """Remove the log of a failure that is one no more."""
        (self.root / "logs" / f"{name}.txt.gz").unlink(missing_ok=True)

    def write_visit(self, instance: str, moment: datetime, data: bytes) -> Path:
        """Write a visit's report under a name of its own, and return its path."""
        name, number = visit_name(instance, moment), 1
        while True:
            path = self._in("visits", f"{name}{'' if number == 1 else f'-{number}'}.json")
            part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            part.write_bytes(data)
            try:
                path.hardlink_to(part)
            except FileExistsError:
                number += 1
                continue
            finally:
                part.unlink()
            return path

    def _in(self, folder: str, name: str) -> Path:
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        return self.root / folder / name

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        part.replace(path)


class Log:
    """A build's log on its way to disk, compressed; the same lines give the same bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._raw = path.open("wb")
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left; the file is whole then. Closing twice is once."""
        try:
            self._file.close()
        finally:
            self._raw.close()

    def add(self, line: str) -> str:
        """Write one line, without control sequences and secrets; return it as written."""
        clean = without_credentials(plain(line))
        if clean.strip():
            self.tail.append(clean)
        self._file.write(f"{clean}\n".encode())
        return clean


def read_log(path: Path) -> Iterator[str]:
    """Yield a log's lines."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")
