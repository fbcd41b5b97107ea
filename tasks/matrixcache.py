"""Keeps a matrix in parsed form, so that a file that has not changed is not parsed again.

A cache file holds for what bytes it was made, and by what code: changed code reads the file anew. A damaged one is no
cache at all; nothing here ever fails an operation. Plain data, because who can write a cache must not run code here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet

from tasks.core.errors import BadInput
from tasks.core.golden import Golden, Reader
from tasks.core.matrix import Check, ConditionalRules, Entry, Instance, Matrix, Package, PinnedSdist, Rules, digest
from tasks.core.monorepo import Components, Waiver
from tasks.core.settings import Settings, Status
from tasks.core.targets import LocalTarget, PythonTag, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).parent
READERS = ("matrixcache.py", "matrixfile.py", *(f"core/{name}.py" for name in (
    "addresses", "document", "golden", "matrix", "matrix_forms", "matrix_shape", "monorepo", "resolution", "settings",
    "shapes", "targets",
)))  # fmt: skip
"""The code that makes a matrix of a file."""

Row = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A matrix, and its digest where that takes no look at this machine."""

    matrix: Matrix
    digest: str | None


def load(path: Path, cache: Path) -> Loaded:
    """Read a matrix, from ``cache``, a directory, if it is known. Raises :class:`BadInput` with all that is wrong."""
    data = read_bytes(path)
    made_of = _digest(data, *((_HERE / name).read_bytes() for name in READERS))
    kept = cache / f"{_digest(bytes(path.absolute()))[:16]}.json"
    known = _read(kept, made_of)
    if known is not None:
        return known
    from tasks import matrixfile  # noqa: PLC0415 - 50 ms, for a file that is known already

    matrix = matrixfile.parse(data, path)
    loaded = Loaded(matrix=matrix, digest=None if matrix.needs_machine else digest(matrix, None))
    _write(kept, made_of, loaded)
    return loaded


def read_bytes(path: Path) -> bytes:
    """Return a configuration file's bytes. Raises :class:`BadInput` where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file; name one with --matrix") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _read(path: Path, made_of: str) -> Loaded | None:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        fields = json.loads(head)
        if fields["made_of"] != made_of or fields["body"] != _digest(body):
            return None
        return Loaded(matrix=_decode(json.loads(body)), digest=fields["digest"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _write(path: Path, made_of: str, loaded: Loaded) -> None:
    body = json.dumps(_encode(loaded.matrix), separators=(",", ":")).encode()
    head = json.dumps({"made_of": made_of, "digest": loaded.digest, "body": _digest(body)}).encode()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(head + b"\n" + body)
        part.replace(path)


class _Table:
    """Values that many entries share, each once."""

    def __init__(self) -> None:
        self.rows: list[object] = []
        self._numbers: dict[str, int] = {}

    def number(self, row: object) -> int:
        """Return the number of a value, which is plain data."""
        text = json.dumps(row)
        if text not in self._numbers:
            self._numbers[text] = len(self.rows)
            self.rows.append(row)
        return self._numbers[text]


def _encode(matrix: Matrix) -> dict[str, Any]:
    rules, checks, pythons = _Table(), _Table(), _Table()

    def entry(of: Entry) -> Row:
        said = [[each.rules.to_dict(), None if each.when is None else str(each.when), each.on] for each in of.rules]
        return [
            of.text,
            of.target,
            rules.number(said),
            checks.number([of.check.imports, of.check.requires, of.check.run]),
            pythons.number(_pythons_row(of.pythons)),
            of.abi3,
            of.upstream,
            of.sdist and [of.sdist.url, of.sdist.sha256],
        ]

    packages = [
        [package.name, [entry(each) for each in package.entries], _settings_row(package.settings)]
        for package in matrix.packages
    ]
    return {
        "top": [matrix.index, matrix.index_url, matrix.public_index, matrix.cooldown],
        "instances": {name: each.to_dict() for name, each in matrix.instances.items()},
        "targets": [_target_row(target) for target in matrix.targets.values()],
        "packages": packages,
        "components": matrix.components and asdict(matrix.components),
        "golden": [asdict(each) for each in matrix.golden],
        "rules": rules.rows,
        "checks": checks.rows,
        "pythons": pythons.rows,
    }


def _pythons_row(pythons: Sequence[PythonTag] | None) -> Row | None:
    return None if pythons is None else [[*python.version, python.abi] for python in pythons]


def _target_row(target: Target | LocalTarget) -> Row:
    local = isinstance(target, LocalTarget)
    pythons, needed = _pythons_row(target.pythons), dict(target.exec_properties)
    return [local, target.name, target.instance, target.arch, target.platforms, pythons, needed]


def _decode(document: dict[str, Any]) -> Matrix:
    index, index_url, public_index, cooldown = document["top"]
    rules = [tuple(_rules(*row) for row in rows) for rows in document["rules"]]
    checks = [
        Check(imports=tuple(imports), requires=tuple(requires), run=run)
        for imports, requires, run in document["checks"]
    ]
    pythons = [_pythons(rows) for rows in document["pythons"]]

    def entry(row: Row) -> Entry:
        text, target, rule, check, python, abi3, upstream, sdist = row
        return Entry(
            text=text,
            target=target,
            rules=rules[rule],
            check=checks[check],
            pythons=pythons[python],
            abi3=abi3,
            upstream=upstream,
            sdist=sdist and PinnedSdist(url=sdist[0], sha256=sdist[1]),
        )

    return Matrix(
        index=index,
        index_url=index_url,
        public_index=public_index,
        cooldown=cooldown,
        instances={name: Instance.from_dict(name, said) for name, said in document["instances"].items()},
        targets={row[1]: _target(row) for row in document["targets"]},
        packages=tuple(
            Package(name=name, entries=tuple(map(entry, rows)), settings=_settings(*said))
            for name, rows, said in document["packages"]
        ),
        components=document["components"] and _components(document["components"]),
        golden=tuple(map(_golden, document["golden"])),
    )


def _components(said: dict[str, Any]) -> Components:
    waivers = tuple(Waiver(**each) for each in said["waivers"])
    return Components(**{**said, "waivers": waivers, "dependants": tuple(said["dependants"])})


def _golden(said: dict[str, Any]) -> Golden:
    reader = Reader(**{**said["reader"], "command": tuple(said["reader"]["command"])})
    return Golden(name=said["name"], paths=tuple(said["paths"]), reader=reader)


def _settings_row(settings: Settings) -> Row:
    status = settings.status
    return [status.state, status.reason, settings.tracks, settings.alternate_locations, settings.index_url]


def _settings(state: str, reason: str, tracks: list[str], alternates: list[str], index_url: str | None) -> Settings:
    return Settings(
        status=Status(state=state, reason=reason),
        tracks=tuple(tracks),
        alternate_locations=tuple(alternates),
        index_url=index_url,
    )


def _rules(said: dict[str, Any], when: str | None, on: list[str]) -> ConditionalRules:
    specifiers = None if when is None else SpecifierSet(when)
    return ConditionalRules(rules=Rules.from_dict(said), when=specifiers, on=tuple(on))


def _pythons(rows: list[Row] | None) -> tuple[PythonTag, ...] | None:
    return None if rows is None else tuple(PythonTag(version=(major, minor), abi=abi) for major, minor, abi in rows)


def _target(row: Row) -> Target | LocalTarget:
    local, name, instance, arch, platforms, rows, needed = row
    said = {"name": name, "instance": instance, "arch": arch, "platforms": platforms and tuple(platforms)}
    pythons = _pythons(rows)
    if local:
        return LocalTarget(**said, pythons=pythons, exec_properties=needed)
    return Target(**said, pythons=pythons or (), exec_properties=needed)
