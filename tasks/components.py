"""The stage ``components``: a monorepo's own packages, by convention."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import console, options
from tasks.core.components.distributions import distributions, tree_lines
from tasks.core.components.lint import judged, lint
from tasks.core.components.sarif import sarif
from tasks.core.errors import BadInput, Failed
from tasks.matrixcache import load
from tasks.source_tree import read_tree

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from tasks.console import Console
    from tasks.core.components.lint import Report
    from tasks.core.components.tree import Tree
    from tasks.core.monorepo import Components

CACHE = Path(".cache")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    parser = console.parser("components", "A monorepo's own packages: check their conventions, list them.")
    parser.add_argument("verb", choices=VERBS, help="lint: check the conventions; list: show what there is")
    parser.add_argument(
        "directories", nargs="*", metavar="DIR", type=Path, help="only what lies there (default: all components)"
    )
    options.add_matrix(parser)
    parser.add_argument("--sarif", metavar="FILE", type=Path, help="lint: write the findings as SARIF 2.1.0, too")
    return console.run(parser, argv, _stage)


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    if chosen.sarif and chosen.verb != "lint":
        raise BadInput(f"--sarif is for lint: leave it out of {chosen.verb}")
    path = options.matrix_path(chosen)
    components = load(path, CACHE / "matrix").matrix.components
    if components is None:
        raise BadInput(f"{path}: there is no key 'components', which names the root of the monorepo's packages")
    tree = read_tree(components, path.parent)
    chosen.directories = _addresses(chosen.directories, tree, path.parent / components.buildroot)
    return VERBS[chosen.verb](chosen, terminal, components, tree)


def _lint(chosen: argparse.Namespace, terminal: Console, components: Components, tree: Tree) -> int:
    def is_chosen(component: str) -> bool:
        return _lies_in(_directory(component, tree), chosen.directories)

    waivers = tuple(waiver for waiver in components.waivers if is_chosen(waiver.component))
    found = (finding for finding in lint(tree) if is_chosen(finding.component))
    report = judged(found, waivers, str(options.matrix_path(chosen)))
    if chosen.sarif:
        _write(chosen.sarif, sarif(report))
    if chosen.json:
        waived = [{**asdict(each.finding), "reason": each.reason} for each in report.waived]
        console.emit_json({"findings": [asdict(each) for each in report.findings], "waived": waived})
    else:
        console.emit("".join(f"{finding}\n" for finding in report.findings))
    terminal.info(_summary(report, tree, chosen.directories))
    return Failed.exit_code if report.findings else 0


def _list(chosen: argparse.Namespace, terminal: Console, _components: Components, tree: Tree) -> int:
    every = distributions(tree)
    made = [each for each in every if _lies_in(each.directory, chosen.directories)]
    if chosen.json:
        console.emit_json({"components": [each.to_dict() for each in made]})
    else:
        console.emit("".join(f"{line}\n" for line in tree_lines(made, every)))
    binaries = sum(len(each.scripts) for each in made)
    terminal.info(f"{_number(len(made), 'component')}, {_number(binaries, 'binary', 'binaries')}")
    return 0


VERBS: dict[str, Callable[[argparse.Namespace, Console, Components, Tree], int]] = {"lint": _lint, "list": _list}


def _addresses(directories: Sequence[Path], tree: Tree, base: Path) -> list[str]:
    """Return the folders that the user named as addresses; each has to have a BUILD file in it or below."""
    top = base.resolve()
    addresses = []
    for directory in directories:
        place = directory.resolve()
        if not place.is_relative_to(top):
            raise BadInput(f"{directory}: does not lie below the build root {top}")
        address = place.relative_to(top).as_posix()
        if not any(_lies_in(path, [address]) for path in (*tree.paths, *(each.directory for each in tree.dependants))):
            raise BadInput(
                f"{directory}: no component lies there; they are below {tree.layout.prefix}{tree.layout.root}"
            )
        addresses.append(address)
    return addresses


def _directory(component: str, tree: Tree) -> str:
    """Return the folder of a finding's component: of a dotted name the one below the root."""
    if "/" in component or component == tree.layout.root:
        return component
    path = component.replace(".", "/")
    return path if tree.layout.root == "." else f"{tree.layout.root}/{path}"


def _lies_in(directory: str, chosen: Sequence[str]) -> bool:
    return not chosen or any(each in {".", directory} or directory.startswith(f"{each}/") for each in chosen)


def _summary(report: Report, tree: Tree, chosen: Sequence[str]) -> str:
    components = [each for each in tree.builds if tree.layout.is_component(each.directory)]
    number = _number(sum(_lies_in(each.directory, chosen) for each in components), "component")
    said = f"{number}: {_number(len(report.findings), 'finding')}"
    return f"{said}, {len(report.waived)} waived" if report.waived else said


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise BadInput(f"--sarif {file}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    raise SystemExit(main())
