"""Reads what ``build`` left, in ``dist/`` or in folders of CI artifacts: wheels, what belongs to them, and visits."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tasks.core.attestations import UnfitAttestation, check_provenance, provenance_of
from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import BadInput
from tasks.core.provenance import UnfitRecord, recipe_of
from tasks.core.wheels import WheelContents, problems
from tasks.receipts import Receipt, stamp
from tasks.wheelfile import UnreadableWheel, read_wheel, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.receipts import Stamps

_ENDS = (".whl", ".json", ".txt.gz", ".provenance", ".attestation")
_OWNER = re.compile(r"(.+?\.whl)(?:\.|$)")
"""The wheel that a file belongs to, by its name."""
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistFiles:
    """What there is to publish, and what there is that cannot be."""

    wheels: tuple[Candidate, ...]
    refused: tuple[Result, ...]
    visits: tuple[tuple[str, bytes], ...]
    """What each build visit did: its file's name and bytes."""
    published: tuple[str, ...] = ()
    """The wheels that a receipt covers, which were not read."""
    stamps: Mapping[str, Stamps] = field(default_factory=dict)
    """By name what belongs to each wheel and visit, as it was found, where a receipt can be made."""

    def recorded(self) -> DistFiles:
        """Return the same, with every wheel refused that has no build record."""
        note = "it has no build record, and --require-records asks for one: build it with spare-tire"
        bare = [wheel.filename for wheel in self.wheels if wheel.record is None]
        refused = [Result(filename=name, outcome=Outcome.REFUSED, note=note) for name in bare]
        kept = tuple(wheel for wheel in self.wheels if wheel.record is not None)
        return replace(self, wheels=kept, refused=(*self.refused, *refused))


def read_dist(dist: Path, receipt: Receipt | None = None) -> DistFiles:
    """Read and check every wheel in ``dist/wheels`` that no receipt covers; one that is not fit costs no other."""
    folders = [dist / part for part in ("wheels", "records", "logs", "visits")]
    try:
        found = _found(folders)
        stamps: dict[str, Stamps] = defaultdict(dict)
        for name, paths in found.items():
            owner = _OWNER.match(name)
            if owner or paths[0].parent.name == "visits":
                stamps[owner[1] if owner else name] |= _stamped(paths, dist)
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read: {error.strerror}; name another directory") from error
    covered = {name for name, files in stamps.items() if receipt and receipt.covers(name, files)}
    left = {name: paths for name, paths in found.items() if name not in covered}
    return replace(
        _read_all(left),
        published=tuple(sorted(name for name in covered if name.endswith(".whl"))),
        stamps=stamps,
    )


def _stamped(paths: Iterable[Path], dist: Path) -> Stamps:
    """Return what files look like by now; one that leads nowhere like in no receipt, so that it is read and told."""
    stamps: Stamps = {}
    for path in paths:
        name = path.relative_to(dist).as_posix()
        stamps[name] = -1, -1, -1
        with suppress(OSError):
            stamps[name] = stamp(path)
    return stamps


def read_folders(folders: Iterable[Path]) -> DistFiles:
    """Read and check every wheel below the folders, however deep, with its record, log and attestations, and visits.

    What lies there twice is one if its bytes are equal; a wheel that lies there with two contents is refused. Of
    several records, logs or provenances of a wheel the first path's counts.
    """
    try:
        found = _found(folders)
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read: {error.strerror}; name another directory") from error
    return _read_all(found)


def _found(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the files by name. Raises :class:`OSError`."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted({path for folder in folders for path in _finished(folder)}):
        found[path.name].append(path)
    return found


def _read_all(found: Mapping[str, Sequence[Path]]) -> DistFiles:
    try:
        visits = tuple(
            (name, path.read_bytes())
            for name, paths in sorted(found.items())
            for path in paths
            if path.parent.name == "visits" and _SAFE.fullmatch(name) and path.stat().st_size
        )
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read: {error.strerror}; name another directory") from error
    attested: dict[str, list[str]] = defaultdict(list)
    for name in sorted(found):
        if name.endswith(".attestation") and (owner := _OWNER.match(name)):
            attested[owner[1]].append(name)
    wheels: list[Candidate] = []
    refused: list[Result] = []
    for name in sorted(name for name in found if name.endswith(".whl")):
        wheel = _read(name, found, attested[name])
        if isinstance(wheel, Candidate):
            wheels.append(wheel)
        else:
            refused.append(wheel)
    return DistFiles(wheels=tuple(wheels), refused=tuple(refused), visits=visits)


def _finished(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, but for what lies hidden: a build keeps there what it has not finished."""
    for path in folder.rglob("*"):
        if path.name.endswith(_ENDS) and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _read(  # noqa: PLR0911 - each reason why a wheel does not go out
    name: str, found: Mapping[str, Sequence[Path]], attested: Sequence[str]
) -> Candidate | Result:
    def unfit(note: str, outcome: Outcome = Outcome.INVALID) -> Result:
        return Result(filename=name, outcome=outcome, note=note)

    if not _SAFE.fullmatch(name):
        return unfit("its name holds characters that no wheel's name may (PEP 427)")
    path, *others = found[name]
    record_path = next(iter(found.get(f"{name}.json", ())), None)
    log = next(iter(found.get(f"{name}.txt.gz", ())), None)
    try:
        contents = read_wheel(path)
        differing = [other for other in others if sha256_of(other) != contents.sha256]
        record = record_path.read_bytes() if record_path else None
        provenance = _provenance(contents, found, attested)
        if log:
            log.open("rb").close()  # it is read when it is put, which is no time to find that it cannot be
    except UnreadableWheel as error:
        return unfit(str(error))
    except UnfitAttestation as error:
        return unfit(f"its attestations are unfit: {error}; remove them or have it attested again", Outcome.REFUSED)
    except OSError as error:
        return unfit(f"{error.filename or path} cannot be read: {error.strerror}")
    if wrong := list(problems(contents)):
        return unfit("; ".join(wrong))
    if differing:
        return unfit(f"{path} and {differing[0]} have the same name and other bytes", Outcome.REFUSED)
    try:
        recipe = None if record is None else recipe_of(record, contents.sha256)
    except UnfitRecord as error:
        return unfit(f"its record {record_path} is unfit: {error}; build it again", Outcome.REFUSED)
    return Candidate.of(contents, path, record=record, recipe=recipe, log=log, provenance=provenance)


def _provenance(wheel: WheelContents, found: Mapping[str, Sequence[Path]], beside: Sequence[str]) -> bytes | None:
    """Return the wheel's provenance object: the one that lies there, else one made of its attestations (PEP 740)."""
    name = wheel.filename
    made = f"{name}.provenance" not in found
    paths = [found[each][0] for each in (beside if made else [f"{name}.provenance"])]
    read = [path.read_bytes() for path in paths]
    try:
        if made:
            return provenance_of(read, name, wheel.sha256) if read else None
        return check_provenance(read[0], name, wheel.sha256)
    except UnfitAttestation as error:
        raise UnfitAttestation(f"{', '.join(map(str, paths))}: {error}") from None
