"""Builds and checks the components of a monorepo, each after those that it requires, side by side where it can."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks import process
from tasks.core.errors import BadInput, Failed, Refused
from tasks.monorepo.builds import Built, is_built, keys, make, put, read_built, tools
from tasks.monorepo.checks import check
from tasks.monorepo.packages import closure
from tasks.scratch import scratch
from tasks.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.monorepo.packages import Package

_SCRATCH = ".scratch-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of some components."""

    built: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    """Why, by names, those that others require first."""
    refused: Collection[str] = ()
    """Those among them whose wheel is published with other bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monorepo:
    """What is built, where it is read, and where its outputs lie: ``out`` has a folder for each component."""

    every: Mapping[str, Package]
    base: Path
    out: Path
    environ: Mapping[str, str]

    def keys(self, names: Collection[str]) -> dict[str, str]:
        """Return the keys of some components and of all that they require."""
        wanted = {name: self.every[name] for name in closure(names, self.every)}
        return keys(wanted, self.base, tools(self.environ))

    def required(self, name: str) -> list[Path]:
        """Return the wheels of all that a component requires in some way, as they were built.

        Raises :class:`Failed` where one is not: an index would give a wheel of that name for it.
        """
        wheels = []
        for each in closure(self.every[name].requires, self.every):
            built = read_built(self.out / each)
            if built is None:
                raise Failed(f"{each}, which it requires, is not built; run: components -- build")
            wheels.append((self.out / each / built.wheel).resolve())
        return wheels


def count_commits(base: Path) -> int:
    """Return how many commits lead to the one that is checked out. Raises :class:`BadInput` where nobody can tell."""
    shallow = process.run(["git", "rev-parse", "--is-shallow-repository"], cwd=base)
    counted = process.run(["git", "rev-list", "--count", "HEAD"], cwd=base)
    if counted.returncode or shallow.stdout.strip() != "false":
        reason = counted.stderr.strip().splitlines()[-1:] or ["the clone is shallow; fetch all of it"]
        raise BadInput(
            f"{base}: the version of a snapshot is the number of its commits, and git tells none: {reason[0]}"
        )
    return int(counted.stdout)


def build(
    repo: Monorepo, names: Collection[str], published: Callable[[Collection[str]], Mapping[str, str]], jobs: int
) -> Outcome:
    """Build some components and all that they require; what is there already is not built again.

    ``published`` returns the sha256 of the files that are published of some components: other bytes under a published
    name are refused, and kept out of ``out``.
    """
    wanted = repo.keys(names)
    changed = [name for name, key in wanted.items() if not is_built(repo.out / name, key)]
    fixed = published(changed) if changed else {}
    failed: dict[str, str] = {}
    refused: list[str] = []

    def work(name: str) -> None:
        lacking = [each for each in closure([name], repo.every) if each in failed]
        if lacking:
            failed[name] = f"{name}: not built, since {lacking[0]} failed, which it requires"
            return
        try:
            with scratch(repo.out, _SCRATCH) as room:
                package = repo.every[name]
                made = make(package, wanted[name], repo.base, repo.required(name), room.resolve())
                refuse_changed(package, made, fixed)
                put(made, repo.out / name)
        except Refused as error:
            refused.append(name)
            failed[name] = "\n".join(error.messages)
        except Failed as error:
            failed[name] = "\n".join(error.messages)

    for layer in _layers(changed, repo.every):
        side_by_side(work, layer, jobs)
    return Outcome(
        built=tuple(name for name in changed if name not in failed),
        unchanged=tuple(name for name in wanted if name not in changed),
        failed={name: failed[name] for name in wanted if name in failed},
        refused=refused,
    )


def refuse_changed(package: Package, made: Path, published: Mapping[str, str]) -> None:
    """Raise :class:`Refused` where a wheel is published with other bytes."""
    built = read_built(made)
    assert built is not None  # noqa: S101 - just made
    if published.get(built.wheel, built.files[built.wheel]) != built.files[built.wheel]:
        raise Refused(
            f"{package.directory}: {built.wheel} is published, and was built of other sources or by other tools; "
            "raise the version"
        )


def verify(repo: Monorepo, names: Collection[str], jobs: int) -> dict[str, list[str]]:
    """Check some components and all that they require, as they were built; return what is wrong with each, by names."""
    wanted = repo.keys(names)

    def work(name: str) -> list[str]:
        with ExitStack() as held:
            room = held.enter_context(scratch(repo.out, _SCRATCH))
            try:
                return check(
                    repo.every[name], wanted[name], repo.base, repo.out / name, repo.required(name), room.resolve()
                )
            except Failed as error:
                return [message.removeprefix(f"{name}: ") for message in error.messages]

    return dict(zip(wanted, side_by_side(work, wanted, jobs), strict=True))


def described(repo: Monorepo, name: str) -> tuple[str, Built | None]:
    """Return where a component's outputs lie, and what they are."""
    return (repo.out / name).as_posix(), read_built(repo.out / name)


def _layers(names: Sequence[str], every: Mapping[str, Package]) -> Iterator[list[str]]:
    """Yield components that can be built side by side, after those that they require."""
    depth: dict[str, int] = {}
    for name, package in every.items():
        depth[name] = 1 + max((depth[each] for each in package.requires), default=0)
    for level in sorted({depth[name] for name in names}):
        yield [name for name in names if depth[name] == level]
