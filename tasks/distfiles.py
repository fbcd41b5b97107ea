"""Reads what ``build`` left in ``dist/``: wheels with their records and logs, and visits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import BadInput
from tasks.core.provenance import UnfitRecord, recipe_of
from tasks.core.wheels import problems
from tasks.wheelfile import UnreadableWheel, read_wheel

if TYPE_CHECKING:
    from pathlib import Path

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistFiles:
    """What there is to publish, and what there is that cannot be."""

    wheels: tuple[Candidate, ...]
    refused: tuple[Result, ...]
    visits: tuple[tuple[str, bytes], ...]
    """What each build visit did: its file's name and bytes."""


def read_dist(dist: Path) -> DistFiles:
    """Read and check every wheel in ``dist/wheels``; one that is not fit costs no other."""
    wheels: list[Candidate] = []
    refused: list[Result] = []
    try:
        paths = sorted((dist / "wheels").glob("*.whl"))
        found = [path for path in sorted((dist / "visits").glob("*.json")) if _SAFE.fullmatch(path.name)]
        visits = tuple((path.name, path.read_bytes()) for path in found)
    except OSError as error:
        place = error.filename or dist
        raise BadInput(f"{place} cannot be read: {error.strerror}; name another directory with --dist") from error
    for path in paths:
        wheel = _read(path, dist)
        if isinstance(wheel, Candidate):
            wheels.append(wheel)
        else:
            refused.append(wheel)
    return DistFiles(wheels=tuple(wheels), refused=tuple(refused), visits=visits)


def _read(path: Path, dist: Path) -> Candidate | Result:
    def unfit(note: str, outcome: Outcome = Outcome.INVALID) -> Result:
        return Result(filename=path.name, outcome=outcome, note=note)

    if not _SAFE.fullmatch(path.name):
        return unfit("its name holds characters that no wheel's name may (PEP 427)")
    record_path, log = dist / "records" / f"{path.name}.json", dist / "logs" / f"{path.name}.txt.gz"
    try:
        contents = read_wheel(path)
        record = record_path.read_bytes() if record_path.is_file() else None
        if log.is_file():
            log.open("rb").close()  # it is read when it is put, which is no time to find that it cannot be
    except UnreadableWheel as error:
        return unfit(str(error))
    except OSError as error:
        return unfit(f"{error.filename or path} cannot be read: {error.strerror}")
    if found := list(problems(contents)):
        return unfit("; ".join(found))
    try:
        recipe = None if record is None else recipe_of(record, contents.sha256)
    except UnfitRecord as error:
        return unfit(f"its record {record_path} is unfit: {error}; build it again", Outcome.REFUSED)
    return Candidate.of(contents, path, record=record, recipe=recipe, log=log if log.is_file() else None)
