"""Builds a component: a wheel and an sdist by its PEP 517 backend, and a PEX of each of its console scripts.

The backend, pip and pex are those of the session's lock, each run as a program.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tasks import process
from tasks.core.errors import BadInput, Failed
from tasks.monorepo.packages import differences, key_of
from tasks.wheelfile import read_digests, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tasks.monorepo.packages import Package

FORMAT = "spare-tire component 1"
RECORD = "record.json"
_EPOCH = "315532800"  # 1980-01-01, the first moment that ZIP knows, which pex gives its files, too
_SHEBANG = "/usr/bin/env python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What lies in a component's folder, by its record."""

    key: str
    version: str
    files: Mapping[str, str]
    """The sha256 of each file by its name."""
    wheel: str
    sdist: str


def tools(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what else the bytes of an output depend on: programs with their versions, and the fixed moment."""
    python = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor} {sys.platform}"
    programs = {name: version(name) for name in ("build", "hatchling", "pex")}
    return {**programs, "format": FORMAT, "python": python, "epoch": environ.get("SOURCE_DATE_EPOCH") or _EPOCH}


def keys(every: Mapping[str, Package], base: Path, using: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each package; ``every`` has each after those that it requires. Raises :class:`BadInput`."""
    found: dict[str, str] = {}
    for name, package in every.items():
        requires = {each: found[each] for each in package.requires}
        found[name] = key_of(package, source_digests(package, base), requires, using)
    return found


def source_digests(package: Package, base: Path) -> dict[str, str]:
    """Return the sha256 of the files of a package by their paths in its wheel. Raises :class:`BadInput`."""
    try:
        return {inside: sha256_of(base / path) for inside, path in package.files.items()}
    except OSError as error:
        raise BadInput(f"{error.filename}:1: cannot be read: {error.strerror}") from error


def read_built(folder: Path) -> Built | None:
    """Return what a component's folder holds by its record; ``None`` where no sound record of this format is."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
        if record["format"] != FORMAT:
            return None
        files = dict(record["files"])
        (wheel,), (sdist,) = ([name for name in files if name.endswith(end)] for end in (".whl", ".tar.gz"))
        return Built(key=record["key"], version=record["version"], files=files, wheel=wheel, sdist=sdist)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def damaged(folder: Path, built: Built) -> list[str]:
    """Return which files of a component's folder are no longer those of its record: changed, gone or come since."""
    there = {path.name: path for path in folder.iterdir() if path.name != RECORD}
    found = {name: sha256_of(path) for name, path in there.items() if path.is_file()}
    return sorted(differences(found, built.files, here=str(folder), there="its record"))


def is_built(folder: Path, key: str) -> bool:
    """Whether the outputs of a key lie in a folder, each as it was made."""
    built = read_built(folder)
    return built is not None and built.key == key and not damaged(folder, built)


def make(package: Package, key: str, base: Path, required: Sequence[Path], scratch: Path) -> Path:
    """Build a package in ``scratch``, and return the folder that holds it with its record.

    ``required`` are the wheels of all packages that it requires in some way. Raises :class:`Failed` with what the
    program that failed said.
    """
    source, out, wheels = scratch / "source", scratch / "out", scratch / "wheels"
    expected = source_digests(package, base)
    for inside, path in package.files.items():
        _copy(base / path, source / inside)
    (source / "pyproject.toml").write_text(package.pyproject, encoding="utf-8")
    run_backend(package, source, out, ("--sdist", "--wheel"))
    (wheel,) = out.glob("*.whl")
    if wrong := [*differences(user_code(read_digests(wheel)), expected, here=wheel.name, there="the sources")]:
        raise Failed(*(f"{package.name}: {each}" for each in wrong))
    if package.scripts:
        arguments = ("wheel", "--quiet", "--wheel-dir", str(wheels), *map(str, required), str(wheel))
        run(package, ("-m", "pip", "--disable-pip-version-check", *arguments), scratch)
    for name, function in sorted(package.scripts.items()):
        _make_pex(package, function, out / f"{name}.pex", wheels, scratch)
    files = {path.name: sha256_of(path) for path in sorted(out.iterdir())}
    record = {"format": FORMAT, "name": package.name, "version": package.version, "key": key, "files": files}
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return out


def put(made: Path, place: Path) -> None:
    """Put a component's folder in place of the one that is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        shutil.rmtree(place)  # a run that ends here leaves none, which the next one builds
    made.rename(place)


def run_backend(package: Package, source: Path, out: Path, what: Iterable[str]) -> None:
    """Have the backend of a source folder make what is wanted. Raises :class:`Failed`."""
    run(package, ("-m", "build", "--no-isolation", *what, "--outdir", str(out), str(source)), source.parent)


def run(package: Package, arguments: Sequence[str], scratch: Path) -> None:
    """Run a program of the lock with this Python. Raises :class:`Failed` with all that it said."""
    said = process.run([sys.executable, *arguments], env=_environment(scratch), cwd=scratch)
    if said.returncode:
        program = arguments[1]
        raise Failed(f"{package.name}: {program} ended with {said.returncode}:\n{(said.stdout + said.stderr).strip()}")


def user_code(members: Mapping[str, str]) -> dict[str, str]:
    """Return what a wheel puts on the path besides its metadata."""
    return {path: digest for path, digest in members.items() if not path.split("/", 1)[0].endswith(".dist-info")}


def _make_pex(package: Package, function: str, file: Path, wheels: Path, scratch: Path) -> None:
    given = ("--pre-resolved-dists", str(wheels), f"{package.name}=={package.version}")
    options = (f"--entry-point={function}", f"--python-shebang={_SHEBANG}", f"--output-file={file}")
    run(package, ("-m", "pex", "--no-emit-warnings", *given, *options), scratch)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which nothing but the sources decides on bytes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PEX_", "PYTHON", "HATCH_"))}
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _EPOCH
    fixed = {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    return {**kept, **fixed, "PEX_IGNORE_RCFILES": "1", "PEX_ROOT": str(scratch / "pex")}
