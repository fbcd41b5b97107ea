"""What ``plan`` asks for of a monorepo: each component as a package of the matrix, its sdist made of its sources."""

from __future__ import annotations

import gzip
import hashlib
import io
import shlex
import tarfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from packaging.utils import canonicalize_name

from tasks.core.errors import BadInput
from tasks.core.matrix import LOCAL, Check, ConditionalRules, Entry, Instance, Matrix, PinnedSdist, Rules
from tasks.core.matrix import Package as Wanted
from tasks.core.monorepo import TARGET
from tasks.core.targets import LocalTarget
from tasks.monorepo.lint import report
from tasks.monorepo.packages import packages, sdist_name, unbuildable
from tasks.monorepo.runs import count_commits
from tasks.monorepo.source_tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from tasks.core.monorepo import Components
    from tasks.core.targets import Machine, PythonTag, Target
    from tasks.monorepo.lint import Report
    from tasks.monorepo.packages import Package
    from tasks.monorepo.tree import Tree

SOURCES = "SPARE_TIRE_SOURCES"
"""A variable of the build that nothing reads: it has the digest of all sources be one of the rules that a wheel is
known by, so that a component is planned again where something changed that it requires."""
_EPOCH = 315532800  # as in builds: 1980-01-01, so that both give the same bytes
_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The components of a monorepo as ``plan`` takes them."""

    packages: Mapping[str, Package]
    sdists: Mapping[str, bytes]
    """By file name."""
    digests: Mapping[str, str]
    """Of all that each component is made of, a sha256; :data:`SOURCES` has it."""
    broken: Mapping[NormalizedName, tuple[str, ...]]
    """Why a component is not to be built: what is wrong with it, or that something is with what it requires."""
    folder: str
    """Where the sdists will lie, beside the plan."""

    def beside(self, matrix: Matrix, machine: Machine) -> Matrix:
        """Return a matrix that asks for the components, too. Raises :class:`BadInput` where it did already."""
        asked = {package.normalized: package.name for package in matrix.packages}
        for name in self.packages:
            if taken := asked.get(canonicalize_name(name)):
                raise BadInput(f"packages.{taken} is the name of the component {name}: leave it out")
        if not self.packages:
            return matrix
        local = (name.partition(",")[0] for name, each in sorted(matrix.instances.items()) if each.worker == LOCAL)
        instance = next(local, LOCAL)
        here = LocalTarget(name=TARGET, instance=instance, arch=None, platforms=None, pythons=None)
        target = matrix.targets.get(TARGET, here)
        python = _newest(target.on(machine) if isinstance(target, LocalTarget) else target)
        return replace(
            matrix,
            instances={instance: Instance(name=instance, worker=LOCAL), **matrix.instances},
            targets={**matrix.targets, TARGET: target},
            packages=(*matrix.packages, *(self._package(each, python) for each in self.packages.values())),
        )

    def _package(self, package: Package, python: PythonTag) -> Wanted:
        filename = sdist_name(package)
        sha256 = hashlib.sha256(self.sdists[filename]).hexdigest()
        rules = Rules(native=False, env={SOURCES: self.digests[package.name]})
        entry = Entry(
            text=package.version,
            target=TARGET,
            rules=(ConditionalRules(rules=rules),),
            check=_check(package),
            pythons=(python,),
            sdist=PinnedSdist(url=f"file:{quote(f'{self.folder}/{filename}')}", sha256=sha256, is_component=True),
        )
        return Wanted(name=package.name, entries=(entry,))


def read_planned(components: Components, matrix: Path, folder: str) -> Planned:
    """Read the components that the file ``matrix`` names; ``folder`` is where their sdists will lie, beside the plan.

    Raises :class:`BadInput` for what cannot be read or built.
    """
    tree = read_tree(components, matrix.parent)
    base = matrix.parent / components.buildroot
    cannot = unbuildable(tree)
    every = packages(tree, lambda: count_commits(base), but=cannot)
    found = report(tree, components.waivers, [each.directory for each in every.values()], str(matrix))
    sdists = {sdist_name(each): sdist_of(each, base) for each in every.values()}
    return Planned(
        packages=every,
        sdists=sdists,
        digests=_digests(every, sdists),
        broken={canonicalize_name(name): why for name, why in _broken(every, tree, found, cannot).items()},
        folder=folder,
    )


def sdist_of(package: Package, base: Path) -> bytes:
    """Return a package's sdist: equal sources give equal bytes, on whichever machine. Raises :class:`BadInput`."""
    try:
        files = {inside: (base / path).read_bytes() for inside, path in package.files.items()}
    except OSError as error:
        raise BadInput(f"{error.filename}:1: cannot be read: {error.strerror}") from error
    files["pyproject.toml"] = package.pyproject.encode()
    files["PKG-INFO"] = f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n".encode()
    top = sdist_name(package).removesuffix(".tar.gz")
    made = io.BytesIO()
    # Stored rather than compressed, since one zlib compresses otherwise than the next.
    with (
        gzip.GzipFile("", "wb", 0, made, mtime=_EPOCH) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for inside, data in sorted(files.items()):
            member = tarfile.TarInfo(f"{top}/{inside}")
            member.size, member.mtime, member.mode = len(data), _EPOCH, _MODE
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def _broken(
    every: Mapping[str, Package], tree: Tree, found: Report, cannot: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return what keeps components from being built, by their names; ``every`` has each after what it requires."""
    reasons: dict[str, tuple[str, ...]] = {}
    for name, package in every.items():
        dotted = tree.layout.component(package.directory)
        own = [str(each) for each in found.findings if f"{each.component}.".startswith(f"{dotted}.")]
        own += cannot.get(name, ())
        lacking = [f"it requires {each}, which is not planned" for each in package.requires if each in reasons]
        if own or lacking:
            reasons[name] = tuple(own or lacking)
    return reasons


def _digests(every: Mapping[str, Package], sdists: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digest of all sources of each component: its sdist's with those of what it requires."""
    found: dict[str, str] = {}
    for name, package in every.items():
        parts = [hashlib.sha256(sdists[sdist_name(package)]).hexdigest(), *(found[each] for each in package.requires)]
        found[name] = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    return found


def _newest(target: Target) -> PythonTag:
    """Return the interpreter that builds: a component's wheel is one for all. Raises :class:`BadInput`."""
    if not target.pythons:
        raise BadInput(f"there is no interpreter here to build components: name a target {TARGET!r} that has one")
    return max(target.pythons, key=lambda python: (not python.free_threaded, python.version))


def _check(package: Package) -> Check:
    folder = package.name.replace(".", "/")
    imports = (package.name,) if f"{folder}/__init__.py" in package.files else ()
    return Check(
        imports=imports, run=" && ".join(f"{shlex.quote(name)} --help" for name in sorted(package.scripts)) or None
    )
