"""What the packages of a component are made of: a project as PEP 621 describes it, its files, and a key of all that."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tasks.core.errors import BadInput
from tasks.monorepo.dependency_rules import no_two_distributions_have_one_name
from tasks.monorepo.distributions import distributions
from tasks.monorepo.layout_rules import build_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from tasks.monorepo.distributions import Distribution
    from tasks.monorepo.tree import Tree

BACKEND = "hatchling==1.33.0"
"""What builds each wheel and sdist: the version of ``requirements/components.txt``, since the bytes depend on it."""
SNAPSHOT = "-SNAPSHOT"
"""The end of a version that is not released yet: ``.dev<commits>`` is built of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A component as it is built."""

    name: str
    version: str
    """As PEP 440 normalises it."""
    directory: str
    pyproject: str
    """The text of its ``pyproject.toml`` (PEP 621)."""
    files: Mapping[str, str]
    """Where each file lies in a wheel, and where it is read, below the build root."""
    requires: tuple[str, ...]
    """The distributions of the monorepo that it requires."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Its console scripts with ``module:function``; each is a PEX, too."""


def pep440(version: str, commits: Callable[[], int]) -> str:
    """Return a version as PEP 440 normalises it; of a snapshot, ``.dev`` and the number of commits so far.

    A snapshot's version says which commit it is of, since a published name never changes its bytes. Raises
    :class:`ValueError` with what was expected.
    """
    base = version.removesuffix(SNAPSHOT)
    text = base if base == version else f"{base}.dev{commits()}"
    try:
        return str(Version(text))
    except InvalidVersion:
        raise ValueError(f"expected a version as PEP 440 writes it, {SNAPSHOT} after it or not") from None


def packages(tree: Tree, commits: Callable[[], int], *, but: Collection[str] = ()) -> dict[str, Package]:
    """Return what is built of each component by the names of the distributions, each after those that it requires.

    Raises :class:`BadInput` with all that keeps components from being built; what :func:`unbuildable` says of the
    distributions in ``but`` does not.
    """
    made = distributions(tree)
    every = {each.name: each for each in made}
    clashes = no_two_distributions_have_one_name(tree)
    problems = [f"{tree.layout.prefix}{file}:{line}: {message}" for file, line, message in clashes]
    versions: dict[str, str] = {}
    for each in made:
        try:
            versions[each.name] = pep440(each.version, commits)
        except ValueError as error:
            problems.append(f"{_file(each, tree)}:{each.version_line}: {error}, found '{each.version}'")
        problems += () if each.name in but else _unbuildable(each, tree)
    if problems:
        raise BadInput(*problems)
    try:
        order = [*TopologicalSorter({each.name: each.requires for each in every.values()}).static_order()]
    except CycleError as error:
        raise BadInput(
            f"components that require each other have no first to build: {' → '.join(error.args[1])}"
        ) from None
    return {name: _package(every[name], versions, tree) for name in order}


def unbuildable(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Return what lint allows and no backend can build, by the names of the distributions."""
    found = {each.name: tuple(_unbuildable(each, tree)) for each in distributions(tree)}
    return {name: messages for name, messages in found.items() if messages}


def closure(names: Collection[str], every: Mapping[str, Package]) -> tuple[str, ...]:
    """Return some packages and all that they require in some way, in the order of ``every``."""
    found, ahead = set[str](), list(names)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += every[name].requires
    return tuple(name for name in every if name in found)


def sdist_name(package: Package) -> str:
    """Return the file name of a package's sdist (PEP 625)."""
    return f"{canonicalize_name(package.name).replace('-', '_')}-{package.version}.tar.gz"


def key_of(package: Package, digests: Mapping[str, str], requires: Mapping[str, str], tools: Mapping[str, str]) -> str:
    """Return the key of what is built of a package, a sha256: the same key is the same output.

    ``digests`` are of the files by their paths in the wheel, ``requires`` the keys of the packages that it requires.
    """
    made_of = [package.pyproject, sorted(digests.items()), sorted(requires.items()), sorted(tools.items())]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def differences(found: Mapping[str, str], expected: Mapping[str, str], *, here: str, there: str) -> Iterator[str]:
    """Yield how files with their sha256 differ from those expected, a message for each path."""
    for path in sorted(found.keys() | expected.keys()):
        if path not in expected:
            yield f"{here} holds {path}, which is not in {there}"
        elif path not in found:
            yield f"{here} lacks {path}, which is in {there}"
        elif found[path] != expected[path]:
            yield f"{here} holds other bytes than {there} in {path}"


def _unbuildable(each: Distribution, tree: Tree) -> Iterator[str]:
    for file, line, folder in each.elsewhere:
        place = f"{tree.layout.prefix}{file}:{line}"
        yield f"{place}: it depends on {folder}, out of the root, which build does not read; put a copy below the root"
    for script in each.scripts:
        if ":" not in (script.entry_point or ""):
            message = f"a console script runs a function, found entry_point '{script.entry_point}' of '{script.name}'"
            yield f"{_file(each, tree)}:{script.line}: {message}; write 'MODULE:FUNCTION'"


def _file(each: Distribution, tree: Tree) -> str:
    return tree.layout.prefix + build_file(each.directory)


def _package(each: Distribution, versions: Mapping[str, str], tree: Tree) -> Package:
    scripts = {script.name: script.entry_point or "" for script in each.scripts}
    required = [f"{name}=={versions[name]}" for name in each.requires]
    listed = {str(name): texts for name, texts in tree.requirements.items()}
    required += [text for name in each.third_party for text in listed.get(name, ())]
    files = {"/".join(tree.layout.parts(path)): path for path in each.files}
    return Package(
        name=each.name,
        version=versions[each.name],
        directory=each.directory,
        pyproject=_pyproject(each.name, versions[each.name], required, scripts, files),
        files=files,
        requires=each.requires,
        scripts=scripts,
    )


def _pyproject(name: str, version: str, required: list[str], scripts: Mapping[str, str], files: Collection[str]) -> str:
    included = sorted({path.partition("/")[0] for path in files})
    lines = [
        "[build-system]",
        f"requires = [{_quoted(BACKEND)}]",
        'build-backend = "hatchling.build"',
        "",
        "[project]",
        f"name = {_quoted(name)}",
        f"version = {_quoted(version)}",
        'requires-python = ">=3"',  # else the wheel would be for Python 2, too
        f"dependencies = [{', '.join(map(_quoted, required))}]",
        "",
        "[project.scripts]",
        *(f"{_quoted(script)} = {_quoted(function)}" for script, function in sorted(scripts.items())),
        "",
        "[tool.hatch.metadata]",
        "allow-direct-references = true",
        "",
        "[tool.hatch.build]",
        "ignore-vcs = true",
        "",
        "[tool.hatch.build.targets.wheel]",
        f"only-include = [{', '.join(map(_quoted, included))}]",
    ]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """Return a basic string of TOML, which JSON's is but for one character."""
    return re.sub("\x7f", r"\\u007f", json.dumps(text, ensure_ascii=False))
