"""The stage ``plan``: which wheels are missing, and why every other one is not built."""

from __future__ import annotations

import gc
import hashlib
import os
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks import console, options
from tasks.core import matrix as matrices
from tasks.core import plan_report
from tasks.core.actions import Patch
from tasks.core.addresses import path_of, without_credentials
from tasks.core.errors import BadInput, Failed, Refused
from tasks.core.look import Ours
from tasks.core.moments import fixed_moment
from tasks.core.monorepo import TARGET
from tasks.core.nodes import nodes
from tasks.core.plan import PlanError
from tasks.core.planning import Knowledge, certain_questions, make_plan, settle
from tasks.core.retiring import retired
from tasks.core.targets import Machine, PythonTag
from tasks.core.upstream import Upstream
from tasks.matrixcache import load
from tasks.services import ci
from tasks.services.default_index import default_index
from tasks.services.public_index import NoSuchProject, PublicIndex
from tasks.stores.places import open_store
from tasks.stores.shelves import Ahead, InStore, read_shelves

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterable, Sequence

    from packaging.utils import NormalizedName

    from tasks.console import Console
    from tasks.core.matrix import Matrix, Wanted
    from tasks.core.plan import Plan
    from tasks.core.releases import Project
    from tasks.monorepo.planned import Planned

CACHE = Path(".cache")

_ANY_MACHINE = Machine(arch="", platform="", accepts=(), pythons=(PythonTag.parse("cp312"),))
"""Stands for this machine until something is to be planned for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    parser = console.parser("plan", "Find out which wheels are missing, and write the plan to build them.")
    options.add_matrix(parser)
    options.add_index(parser)
    options.add_plan(parser)
    parser.add_argument("--package", action="append", metavar="NAME", help="plan only this package (may be repeated)")
    parser.add_argument("--target", action="append", metavar="PATTERN", help="plan only these targets")
    parser.add_argument("--instance", action="append", metavar="NAME", help="plan only what this instance builds")
    parser.add_argument("--explain", metavar="PACKAGE", help="say for each target why the package is or is not built")
    parser.add_argument("--expand", action="store_true", help="print the matrix in the flat form, and plan nothing")
    parser.add_argument(
        "--retire", action="store_true", help="list what the public index has made needless, and plan nothing"
    )
    return ci.ended("plan", console.run(parser, argv, ci.telling("plan", _stage)))


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    path = options.matrix_path(chosen)
    _refuse_contradictions(chosen)
    if not (chosen.expand or chosen.explain or chosen.retire):  # those are questions: they change nothing
        _remove(chosen.plan)
        terminal.info(f"planning {path}")
    if chosen.expand:
        return _expand(load(path, CACHE / "matrix").matrix, as_json=chosen.json)
    with ExitStack() as opened:
        index = options.chosen_index(chosen)
        begun = _begin(index, opened) if index and not chosen.retire else None
        loaded = load(path, CACHE / "matrix")
        own = _components(loaded.matrix, path, chosen)
        matrix = own.beside(loaded.matrix, _ANY_MACHINE) if own else loaded.matrix
        index = index or options.index_of(matrix, path)
        machine = _ANY_MACHINE if matrix.needs_machine else None
        every = matrices.wanted(matrix, machine)
        wanted = _narrowed(every, matrix, chosen, path)
        here = any(matrix.is_local(each.target.name) for each in wanted)
        if here:
            machine = _machine()
            matrix = own.beside(loaded.matrix, machine) if own else matrix
            every = matrices.wanted(matrix, machine)
            wanted = _narrowed(every, matrix, chosen, path)
        wanted, broken = _sound(wanted, own)
        public = opened.enter_context(PublicIndex(matrix.public_index, CACHE / "simple", default=default_index))
        _refuse_circle(public, index, matrix)
        if chosen.retire:
            return _retire(wanted, matrix, public, terminal, chosen)
        begun = begun or _begin(index, opened)
        public.begin(certain_questions(wanted))
        shelves = read_shelves(begun, {each.name for each in wanted}, CACHE / "index")
        ours = Ours(shelves=shelves, patches=_patches(wanted, path))
        settled = settle(wanted, ours)
        if not here and any(matrix.is_open(each.target.name) for each in settled.open):
            machine = _machine()
        projects = _ask(public, settled.questions, terminal)
    known = Knowledge(
        ours=ours,
        projects=projects,
        newer_than=_newer_than(matrix),
        sdist_index=public.url,
        own_index=options.readable_index(index, matrix),
        own_projects=frozenset(each.name for each in every if each.sdist is not None),
        machine=None if machine is _ANY_MACHINE else machine,
    )
    digest = loaded.digest or matrices.digest(loaded.matrix if here else matrices.elsewhere(loaded.matrix), machine)
    plan = make_plan(_with_keys(matrix, path), digest, settled, known, broken)
    if chosen.instance:
        plan = replace(plan, actions=tuple(each for each in plan.actions if each.instance in chosen.instance))
    if chosen.explain:
        _explain(plan, chosen)
        return 0
    if own:
        _write_sdists(own, plan, chosen.plan)
    _write(chosen.plan, plan.to_json())
    _tell(plan, chosen, terminal)
    if any(error.refused for error in plan.errors):
        return Refused.exit_code
    return Failed.exit_code if plan.errors else 0


def _refuse_contradictions(chosen: argparse.Namespace) -> None:
    """Refuse options that would have no effect beside the others."""
    if chosen.expand and (chosen.package or chosen.target or chosen.instance or chosen.explain):
        raise BadInput("--expand prints the whole matrix: leave out --package, --target, --instance and --explain")
    if chosen.retire and (chosen.expand or chosen.explain):
        raise BadInput("--retire is a question of its own: leave out --expand and --explain")


def _begin(index: str, opened: ExitStack) -> Ahead:
    """Open our own index, and begin to read it."""
    if index.lower().startswith(("http://", "https://")):
        from tasks.services.website import Website  # noqa: PLC0415 - it brings requests along, 0.1 s

        return Ahead(opened.enter_context(Website(index, CACHE / "website")))
    return Ahead(InStore(open_store(index)))


def _refuse_circle(public: PublicIndex, index: str, matrix: Matrix) -> None:
    if _is_own(public.url, index) or _is_own(public.url, matrix.index_url or index):
        raise BadInput(
            f"the public index is {public.url} ({public.named_by}), which is our own index {index}: "
            "'latest' would be circular; set public_index in the matrix, or another --index"
        )


def _newer_than(matrix: Matrix) -> datetime | None:
    """Return since when a release is too young to be ``latest``: all that planning has to do with the clock."""
    if matrix.cooldown is None:
        return None
    return (fixed_moment(os.environ) or datetime.now(UTC)) - timedelta(seconds=matrix.cooldown)


def _retire(
    wanted: Sequence[Wanted], matrix: Matrix, public: PublicIndex, terminal: Console, chosen: argparse.Namespace
) -> int:
    """Say which entries of the matrix need no build any more."""
    projects = _ask(public, {each.name for each in wanted if each.sdist is None}, terminal)
    needless, errors = retired(wanted, Upstream(projects, newer_than=_newer_than(matrix)))
    for line in plan_report.error_lines(errors):
        terminal.error(line)
    if chosen.json:
        console.emit_json(
            {"needless": [asdict(entry) for entry in needless], "errors": [asdict(error) for error in errors]}
        )
    else:
        console.emit("".join(f"{line}\n" for line in plan_report.needless_lines(needless)))
    if not needless:
        terminal.info(f"the public index has made nothing in {options.matrix_path(chosen)} needless")
    return Failed.exit_code if errors else 0


def _expand(matrix: Matrix, *, as_json: bool) -> int:
    flat = matrices.flat(matrix, _machine() if matrix.needs_machine else None)
    if as_json:
        console.emit_json(flat)
    else:
        from tasks.matrixfile import to_yaml  # noqa: PLC0415 - 50 ms, and no plan needs it

        console.emit(to_yaml(flat))
    return 0


def _machine() -> Machine:
    """Look at this machine, which starts every interpreter that it has."""
    from tasks.services.interpreters import this_machine  # noqa: PLC0415 - 15 ms, for matrices that mean this machine

    return this_machine()


def _ask(
    public: PublicIndex, names: Collection[NormalizedName], terminal: Console
) -> dict[NormalizedName, Project | str]:
    """Ask the public index about some projects; text says why there is no answer."""
    terminal.detail(f"asking {public.url} about {', '.join(sorted(names)) or 'nothing'}")
    answers = public.fetch(names)
    return {name: answer.message if isinstance(answer, NoSuchProject) else answer for name, answer in answers.items()}


def _is_own(url: str, index: str) -> bool:
    """Whether a public index's URL means our own index, or a root of the Simple API in it."""
    if url.startswith("file:"):
        own = Path(index).resolve()
        return path_of(url).resolve() in {own, own / "simple"}
    return _top(url) == _top(without_credentials(index))


def _top(url: str) -> str:
    """Return the URL of an index without the root of the Simple API that it may name."""
    return url.rstrip("/").removesuffix("/simple").removesuffix("/json")


def _narrowed(wanted: Sequence[Wanted], matrix: Matrix, chosen: argparse.Namespace, path: Path) -> list[Wanted]:
    """Return what the options leave; of a target that names no instance, where it is built is found out later."""
    fitting = {name.partition(",")[0] for name in matrix.instances}
    tests: dict[str, Callable[[Wanted, str], bool]] = {
        "package": lambda each, name: each.name == canonicalize_name(name),
        "target": lambda each, pattern: fnmatchcase(each.target.name, pattern),
        "instance": lambda each, name: each.target.instance == name or (name in fitting and not each.target.instance),
    }
    tests["explain"] = tests["package"]
    left = list(wanted)
    for option, test in tests.items():
        said = getattr(chosen, option) or []
        given = [said] if isinstance(said, str) else said
        for value in given:
            if not any(test(each, value) for each in wanted):
                raise BadInput(f"--{option} {value}: {path} has nothing of that name")
        if given:
            left = [each for each in left if any(test(each, value) for value in given)]
    if wanted and not left:
        raise BadInput(f"{path} has nothing that is all of what the options name")
    return left


def _with_keys(matrix: Matrix, path: Path) -> Matrix:
    """Return the matrix with the private keys' files as this stage would open them; ssh knows what ``~`` is."""
    instances = {
        name: replace(each, identity_file=str(path.parent / each.identity_file))
        if each.identity_file and not each.identity_file.startswith("~")
        else each
        for name, each in matrix.instances.items()
    }
    return replace(matrix, instances=instances)


def _patches(wanted: Iterable[Wanted], path: Path) -> dict[str, Patch]:
    names = {name for each in wanted for rule in each.rules for name in rule.rules.patches or ()}
    found = {}
    for name in sorted(names):
        patch = path.parent / name
        try:
            found[name] = Patch(path=str(patch), sha256=hashlib.sha256(patch.read_bytes()).hexdigest())
        except OSError as error:
            raise BadInput(f"{path}: the patch {name} cannot be read: {error.strerror}") from error
    return found


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"--plan {file}: no plan can be put there: {error.strerror}") from error


def _components(matrix: Matrix, path: Path, chosen: argparse.Namespace) -> Planned | None:
    """Return the components that the matrix asks for, where it names any and the options do not leave them out."""
    patterns = chosen.target or ["*"]
    if matrix.components is None or chosen.retire or not any(fnmatchcase(TARGET, pattern) for pattern in patterns):
        return None
    from tasks.monorepo.planned import read_planned  # noqa: PLC0415 - 60 ms, for matrices with components

    return read_planned(matrix.components, path, chosen.plan.with_suffix(".sources").name)


def _sound(wanted: Sequence[Wanted], own: Planned | None) -> tuple[list[Wanted], list[PlanError]]:
    """Part from what is wanted the components that are not to be built, with the reasons."""
    reasons = own.broken if own else {}
    sound = [each for each in wanted if each.name not in reasons]
    return sound, [PlanError.of(each, why) for each in wanted for why in reasons.get(each.name, ())]


def _write_sdists(own: Planned, plan: Plan, file: Path) -> None:
    """Write the sdists that the plan names; what is there already is left as it is."""
    for action in plan.actions:
        data = own.sdists.get(action.sdist.filename)
        place = file.parent / own.folder / action.sdist.filename
        if data is not None and not _has(place, data):
            _write(place, data)


def _has(place: Path, data: bytes) -> bool:
    try:
        return place.read_bytes() == data
    except OSError:
        return False


def _write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BadInput(f"--plan {file}: the plan cannot be written: {error.strerror}") from error


def _explain(plan: Plan, chosen: argparse.Namespace) -> None:
    if chosen.json:
        console.emit(plan.to_json().decode())
    else:
        console.emit("".join(f"{line}\n" for line in plan_report.explain(plan, chosen.explain)))


def _tell(plan: Plan, chosen: argparse.Namespace, terminal: Console) -> None:
    for warning in plan.warnings:
        terminal.warn(warning)
    for line in plan_report.error_lines(plan.errors):
        terminal.error(line)
    if plan.actions or plan.errors:
        terminal.table(plan_report.HEADINGS, plan_report.rows(plan))
    if plan.actions:
        terminal.info(f"{plan_report.summary(plan)}; the plan is {chosen.plan}; next: nox -s build")
    else:
        terminal.info(plan_report.summary(plan))
    if chosen.json:
        console.emit(plan.to_json().decode())
    ci.tell(nodes(plan, str(chosen.plan)), result_on_stdout=chosen.json)
    ci.summarize("plan", plan_report.markdown(plan), result_on_stdout=chosen.json)


if __name__ == "__main__":
    gc.disable()  # a plan makes a hundred thousand values and drops none: looking for garbage takes a fifth of its time
    console.leave(main())  # to free them one by one, too, would take a tenth of its time
