"""The stage ``plan``: which wheels are missing, and why every other one is not built."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks import console, options
from tasks.core import matrix as matrices
from tasks.core import plan_report
from tasks.core.actions import Patch
from tasks.core.addresses import path_of, without_credentials
from tasks.core.errors import BadInput, Failed
from tasks.core.index import LIST_PATH, ProjectPage, page_path
from tasks.core.nodes import nodes
from tasks.core.planning import Knowledge, make_plan, questions
from tasks.core.project_list import ProjectList
from tasks.matrixfile import load, to_yaml
from tasks.services import ci
from tasks.services.interpreters import this_machine
from tasks.services.public_index import NoSuchProject, PublicIndex
from tasks.stores import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from tasks.console import Console
    from tasks.core.matrix import Matrix, Wanted
    from tasks.core.plan import Plan
    from tasks.stores import Store

CACHE = Path(".cache")


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
    return console.run(parser, argv, _stage)


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    path = options.matrix_path(chosen)
    if chosen.expand and (chosen.package or chosen.target or chosen.instance or chosen.explain):
        raise BadInput("--expand prints the whole matrix: leave out --package, --target, --instance and --explain")
    if not (chosen.expand or chosen.explain):  # those are questions: they change nothing
        _remove(chosen.plan)
        terminal.info(f"planning {path}")
    matrix = load(path)
    machine = this_machine() if matrix.needs_machine else None
    if chosen.expand:
        flat = matrices.flat(matrix, machine)
        console.emit_json(flat) if chosen.json else console.emit(to_yaml(flat))
        return 0
    index = options.chosen_index(chosen) or options.index_of(matrix, path)
    wanted = _narrowed(matrices.wanted(matrix, machine), chosen, path)
    known = _look(matrix, wanted, index, path, terminal)
    plan = make_plan(matrix, matrices.digest(matrix, machine), wanted, known)
    if chosen.explain:
        _explain(plan, chosen)
        return 0
    _write(chosen.plan, plan)
    _tell(plan, chosen, terminal)
    return Failed.exit_code if plan.errors else 0


def _look(matrix: Matrix, wanted: Sequence[Wanted], index: str, path: Path, terminal: Console) -> Knowledge:
    """Ask our index, then the public one about what is still open."""
    with PublicIndex(matrix.public_index, CACHE / "simple") as public:
        if _is_own(public.url, index):
            raise BadInput(
                f"the public index is {public.url} ({public.named_by}), which is our own index {index}: "
                "'latest' would be circular; set public_index in the matrix, or another --index"
            )
        pages = _pages(open_store(index), {each.name for each in wanted})
        asked = questions(wanted, pages)
        terminal.detail(f"asking {public.url} about {', '.join(asked) or 'nothing'}")
        answers = public.fetch(asked)
    projects = {
        name: answer.message if isinstance(answer, NoSuchProject) else answer for name, answer in answers.items()
    }
    return Knowledge(pages=pages, projects=projects, patches=_patches(wanted, path))


def _is_own(url: str, index: str) -> bool:
    """Whether a public index's URL means our own index, or its ``simple/``."""
    if url.startswith("file:"):
        own = Path(index).resolve()
        return path_of(url).resolve() in {own, own / "simple"}
    return url.rstrip("/").removesuffix("/simple") == without_credentials(index).rstrip("/").removesuffix("/simple")


def _pages(store: Store, names: Iterable[NormalizedName]) -> Mapping[NormalizedName, ProjectPage]:
    """Read the pages of those projects that the index lists: one small object each, never one per wheel."""
    stored = store.get(LIST_PATH)
    listed = ProjectList.from_json(stored.data) if stored else ProjectList()
    there = sorted({project.name for project in listed.projects}.intersection(names))
    with ThreadPoolExecutor() as pool:
        found = zip(there, pool.map(store.get, map(page_path, there)), strict=True)
        return {name: ProjectPage.from_json(page.data, page_path(name)) for name, page in found if page}


def _narrowed(wanted: Sequence[Wanted], chosen: argparse.Namespace, path: Path) -> list[Wanted]:
    tests: dict[str, Callable[[Wanted, str], bool]] = {
        "package": lambda each, name: each.name == canonicalize_name(name),
        "target": lambda each, pattern: fnmatchcase(each.target.name, pattern),
        "instance": lambda each, name: each.target.instance == name,
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


def _write(file: Path, plan: Plan) -> None:
    """Write the plan whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(plan.to_json())
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
    for line in plan_report.error_lines(plan):
        terminal.error(line)
    if plan.actions or plan.errors:
        terminal.table(plan_report.HEADINGS, plan_report.rows(plan))
    if plan.actions:
        terminal.info(f"{plan_report.summary(plan)}; the plan is {chosen.plan}; next: nox -s build")
    else:
        terminal.info(plan_report.summary(plan))
    if chosen.json:
        console.emit(plan.to_json().decode())
    ci.tell(nodes(plan, str(chosen.plan)), plan_report.markdown(plan), result_on_stdout=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
