"""A plan as people read it: a row for each target, a line for each reason."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.markdown import table, text
from tasks.core.matrix import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.version import Version

    from tasks.core.actions import Action
    from tasks.core.plan import Plan, PlanError
    from tasks.core.retiring import Needless
    from tasks.core.targets import PythonTag

HEADINGS = ("target", "there", "upstream", "same", "error", "to build")


def rows(plan: Plan) -> list[tuple[str, ...]]:
    """Return rows of :data:`HEADINGS`, sorted: what is to be built by name, the rest counted; alike targets are one."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for skipped in plan.skipped:
        counts[skipped.target, skipped.state] += 1
    for error in plan.errors:
        counts[error.target, "error"] += 1
    to_build: dict[str, list[Action]] = defaultdict(list)
    for action in plan.actions:
        to_build[action.target].append(action)
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for target in sorted({*to_build, *(target for target, _ in counts)}):
        cells = [str(counts.get((target, state), "")) for state in ("present", "upstream", "same", "error")]
        alike[*cells, _named(to_build[target])].append(target)
    return [("\n".join(targets), *cells) for cells, targets in alike.items()]


def _named(actions: list[Action]) -> str:
    """Name each package once, its versions after it, and the interpreters where there are several."""
    versions: dict[str, dict[Version, None]] = defaultdict(dict)
    pythons: dict[str, set[PythonTag]] = defaultdict(set)
    for action in actions:
        versions[action.package][action.version] = None
        pythons[action.package].add(action.python)
    several = len({python.tag for tags in pythons.values() for python in tags}) > 1
    named = [
        " ".join([package, *map(str, found), *(f"({python.tag})" for python in sorted(pythons[package]) if several)])
        for package, found in versions.items()
    ]
    return f"{len(actions)}: {', '.join(named)}" if actions else ""


def error_lines(errors: Iterable[PlanError]) -> list[str]:
    """Return a line for each package and reason, with the targets that it is in error for."""
    targets: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for error in errors:
        targets[error.package, error.version, error.message].append(f"{error.target} {error.python}")
    return [
        # A refusal of several lines names its package and target by itself.
        message if "\n" in message else f"{package} {version}: {message} (for {', '.join(found)})"
        for (package, version, message), found in sorted(targets.items())
    ]


def summary(plan: Plan) -> str:
    """Return one line: how much is to be built, what is not, what is in error."""
    built, errors = len(plan.actions), len(plan.errors)
    here = sum(plan.instance(action.instance, action.arch).worker == LOCAL for action in plan.actions)
    said = f"{_count(built, 'wheel')} to build" if built else "nothing to build"
    said += f" ({here} on this machine)" if here != built else ""
    said += f", {_count(len(plan.skipped), 'wheel')} needed no build"
    return f"{said}, {_count(errors, 'wheel')} in error" if errors else said


def markdown(plan: Plan) -> str:
    """Return the table and the errors as Markdown, for the page of a CI run."""
    errors = [f"- {text(line)}" for line in error_lines(plan.errors)]
    return "\n".join([f"### Plan: {summary(plan)}", "", *table(HEADINGS, rows(plan)), "", *errors, ""])


def explain(plan: Plan, package: str) -> Iterator[str]:
    """Yield for each target and version of a package whether it is built, and why."""
    name = canonicalize_name(package)
    said: list[tuple[str, str, str, str]] = [
        (action.target, str(action.version), action.python.tag, f"to build: no such wheel, {action.wheel.filename}")
        for action in plan.actions
        if action.wheel.name == name
    ]
    said += [(s.target, s.version, s.python, s.reason) for s in plan.skipped if canonicalize_name(s.package) == name]
    said += [
        (e.target, e.version, e.python, f"in error: {e.message}")
        for e in plan.errors
        if canonicalize_name(e.package) == name
    ]
    for target, version, python, reason in sorted(said):
        yield f"{target} {python} {package} {version}: {reason}"


def needless_lines(found: Iterable[Needless]) -> Iterator[str]:
    """Yield a line for each entry of the matrix that needs no build any more."""
    for entry in found:
        wheels = ", ".join(entry.wheels)
        yield f"{entry.package} {entry.version} on {entry.target}: the public index serves {wheels}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
