"""The stage ``components``: a monorepo's own packages, by convention."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import console, options
from tasks.core.errors import BadInput, Failed, Refused
from tasks.matrixcache import load
from tasks.monorepo import runs
from tasks.monorepo.distributions import distributions, tree_lines
from tasks.monorepo.lint import lies_in, report
from tasks.monorepo.packages import closure, packages
from tasks.monorepo.sarif import sarif
from tasks.monorepo.source_tree import read_tree
from tasks.services.published import published_files

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Sequence

    from tasks.console import Console
    from tasks.core.matrix import Matrix
    from tasks.core.monorepo import Components
    from tasks.monorepo.lint import Report
    from tasks.monorepo.tree import Tree

CACHE = Path(".cache")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    parser = console.parser("components", "A monorepo's own packages: check their conventions, build them, prove them.")
    parser.add_argument(
        "verb",
        choices=VERBS,
        help="lint: check the conventions; list: show what there is; build: make wheels, sdists and PEXes; "
        "verify: prove that each PEX holds what pip install of its wheel gives",
    )
    parser.add_argument(
        "directories", nargs="*", metavar="DIR", type=Path, help="only what lies there (default: all components)"
    )
    options.add_matrix(parser)
    parser.add_argument("--sarif", metavar="FILE", type=Path, help="lint: write the findings as SARIF 2.1.0, too")
    options.add_dist(parser)
    options.add_index(parser)
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=options.positive,
        default=os.cpu_count() or 1,
        help="build, verify: how many side by side",
    )
    return console.run(parser, argv, _stage)


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    if chosen.sarif and chosen.verb != "lint":
        raise BadInput(f"--sarif is for lint: leave it out of {chosen.verb}")
    path = options.matrix_path(chosen)
    matrix = load(path, CACHE / "matrix").matrix
    components = matrix.components
    if components is None:
        raise BadInput(f"{path}: there is no key 'components', which names the root of the monorepo's packages")
    tree = read_tree(components, path.parent)
    made = {each.directory for each in distributions(tree)}
    places = tree.directories | tree.folders() if chosen.verb == "lint" else made
    chosen.directories = _addresses(chosen.directories, places, tree, path.parent / components.buildroot)
    return VERBS[chosen.verb](chosen, terminal, matrix, tree)


def _lint(chosen: argparse.Namespace, terminal: Console, matrix: Matrix, tree: Tree) -> int:
    found = _report(matrix, tree, chosen.directories, options.matrix_path(chosen))
    if chosen.sarif:
        _write(chosen.sarif, sarif(found))
    if chosen.json:
        waived = [{**asdict(each.finding), "reason": each.reason} for each in found.waived]
        console.emit_json({"findings": [asdict(each) for each in found.findings], "waived": waived})
    else:
        console.emit("".join(f"{finding}\n" for finding in found.findings))
    terminal.info(_summary(found, tree, chosen.directories))
    return Failed.exit_code if found.findings else 0


def _list(chosen: argparse.Namespace, terminal: Console, _matrix: Matrix, tree: Tree) -> int:
    every = distributions(tree)
    made = [each for each in every if lies_in(each.directory, chosen.directories)]
    if chosen.json:
        console.emit_json({"components": [each.to_dict() for each in made]})
    else:
        console.emit("".join(f"{line}\n" for line in tree_lines(made, every)))
    binaries = sum(len(each.scripts) for each in made)
    terminal.info(f"{console.number(len(made), 'component')}, {console.number(binaries, 'binary', 'binaries')}")
    return 0


def _build(chosen: argparse.Namespace, terminal: Console, matrix: Matrix, tree: Tree) -> int:
    repo = _monorepo(chosen, matrix, tree)
    names = _names(chosen, repo)
    folders = [repo.every[name].directory for name in closure(names, repo.every)]
    if broken := _report(matrix, tree, folders, options.matrix_path(chosen)).findings:
        for finding in broken:
            terminal.error(str(finding))
        return Failed.exit_code
    index = options.chosen_index(chosen) or options.index_of(matrix, options.matrix_path(chosen))

    def published(changed: Collection[str]) -> dict[str, str]:
        return published_files(index, changed, CACHE / "website")

    outcome = runs.build(repo, names, published, chosen.jobs)
    for message in outcome.failed.values():
        terminal.error(message)
    there = (*outcome.built, *outcome.unchanged)
    made = [(name, *runs.described(repo, name)) for name in repo.every if name in there]
    if chosen.json:
        rows = [(name, place, built, name in outcome.built) for name, place, built in made if built]
        form = [
            {"name": name, "version": built.version, "directory": place, "built": new, "files": dict(built.files)}
            for name, place, built, new in rows
        ]
        console.emit_json({"components": form, "failed": sorted(outcome.failed)})
    else:
        files = [f"{place}/{file}\n" for name, place, built in made if built for file in sorted(built.files)]
        console.emit("".join(files))
    said = f"{console.number(len(there) + len(outcome.failed), 'component')}: {len(outcome.built)} built"
    terminal.info(f"{said}, {len(outcome.unchanged)} unchanged, {len(outcome.failed)} failed")
    if outcome.refused:
        return Refused.exit_code
    return Failed.exit_code if outcome.failed else 0


def _verify(chosen: argparse.Namespace, terminal: Console, matrix: Matrix, tree: Tree) -> int:
    repo = _monorepo(chosen, matrix, tree)
    wrong = runs.verify(repo, _names(chosen, repo), chosen.jobs)
    if chosen.json:
        console.emit_json({"components": [{"name": name, "findings": found} for name, found in wrong.items()]})
    else:
        console.emit("".join(f"{name}: {message}\n" for name, found in wrong.items() for message in found))
    findings = console.number(sum(map(len, wrong.values())), "finding")
    terminal.info(f"{console.number(len(wrong), 'component')}: {findings}")
    return Failed.exit_code if any(wrong.values()) else 0


VERBS: dict[str, Callable[[argparse.Namespace, Console, Matrix, Tree], int]] = {
    "lint": _lint,
    "list": _list,
    "build": _build,
    "verify": _verify,
}


def _components(matrix: Matrix) -> Components:
    assert matrix.components is not None  # noqa: S101 - the stage has looked
    return matrix.components


def _monorepo(chosen: argparse.Namespace, matrix: Matrix, tree: Tree) -> runs.Monorepo:
    base = options.matrix_path(chosen).parent / _components(matrix).buildroot
    every = packages(tree, lambda: runs.count_commits(base))
    return runs.Monorepo(every=every, base=base, out=chosen.dist / "components", environ=os.environ)


def _names(chosen: argparse.Namespace, repo: runs.Monorepo) -> list[str]:
    return [name for name, package in repo.every.items() if lies_in(package.directory, chosen.directories)]


def _report(matrix: Matrix, tree: Tree, directories: Sequence[str], path: Path) -> Report:
    return report(tree, _components(matrix).waivers, directories, str(path))


def _addresses(directories: Sequence[Path], places: Collection[str], tree: Tree, base: Path) -> list[str]:
    """Return the folders that the user named as addresses; one of the places has to be in each or below."""
    top = base.resolve()
    addresses = []
    for directory in directories:
        place = directory.resolve()
        if not place.is_relative_to(top):
            raise BadInput(f"{directory}: does not lie below the build root {top}")
        address = place.relative_to(top).as_posix()
        if not any(lies_in(each, [address]) for each in places):
            root = f"{tree.layout.prefix}{tree.layout.root}"
            raise BadInput(f"{directory}: no component lies there; name the folder of one, or one above such as {root}")
        addresses.append(address)
    return addresses


def _summary(found: Report, tree: Tree, chosen: Sequence[str]) -> str:
    components = [each for each in tree.builds if tree.layout.is_component(each.directory)]
    number = console.number(sum(lies_in(each.directory, chosen) for each in components), "component")
    said = f"{number}: {console.number(len(found.findings), 'finding')}"
    return f"{said}, {len(found.waived)} waived" if found.waived else said


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise BadInput(f"--sarif {file}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    raise SystemExit(main())
