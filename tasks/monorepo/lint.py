"""Every rule over a whole monorepo, and the waivers that let single findings pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core.monorepo import RULES
from tasks.monorepo import binary_rules, dependency_rules, layout_rules
from tasks.monorepo.values import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tasks.core.monorepo import Waiver
    from tasks.monorepo.build_file import BuildFile
    from tasks.monorepo.tree import Tree
    from tasks.monorepo.values import Note, PlacedNote

OF_TREE: tuple[tuple[str, Callable[[Tree], Iterator[PlacedNote]]], ...] = (
    ("R1", layout_rules.one_build_file_per_component),
    ("R11", dependency_rules.no_file_is_in_two_distributions),
    ("R11", dependency_rules.no_two_distributions_have_one_name),
    ("R11", dependency_rules.no_cycles),
)
OF_COMPONENT: tuple[tuple[str, Callable[[BuildFile, Tree], Iterator[Note]]], ...] = (
    ("R2", layout_rules.one_public_library),
    ("R3", layout_rules.sources_are_rglobs),
    ("R4", dependency_rules.private_targets_begin_with_an_underscore),
    ("R6", binary_rules.binary_is_its_console_script),
    ("R7", binary_rules.binaries_use_entry_points),
    ("R8", binary_rules.binaries_depend_on_the_private_library),
    ("R9", binary_rules.binaries_are_exported),
    ("R10", binary_rules.private_library_holds_the_sources),
)
OF_EVERY_FILE: tuple[tuple[str, Callable[[BuildFile, Tree], Iterator[Note]]], ...] = (
    ("R4", dependency_rules.only_public_targets_are_depended_on),
    ("R5", dependency_rules.third_party_is_listed),
    ("R6", binary_rules.nothing_depends_on_a_binary),
)
WAIVER = "waiver"
"""The rule that a waiver breaks which lets nothing pass."""
SUMMARIES = {
    "R1": "One BUILD file in each folder three levels below the root, none above or below.",
    "R2": "One python_library, named like its folder, provides the distribution of the dotted name and the version.",
    "R3": "Sources are rglobs('*.py').",
    "R4": "Only public targets are depended on, without ':'; private targets begin with '_'.",
    "R5": "Third-party dependencies are named by their requirements file's folder, and listed there.",
    "R6": "A binary, its console script and its PEX have one name; nothing depends on a binary.",
    "R7": "A binary has an entry point in sources that tests see, and no source.",
    "R8": "A binary depends on exactly the private library.",
    "R9": "Every binary is repeated in .with_binaries({...}), in the dict form.",
    "R10": "Beside binaries a private library holds sources, resources and dependencies.",
    "R11": "No file is in two distributions, no two have one name, and no dependency leads back.",
    WAIVER: "A waiver lets a finding pass.",
}
_ORDER = {rule: number for number, rule in enumerate((*RULES, WAIVER))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A finding that the matrix lets pass."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What lint has found, by file, line and rule."""

    findings: tuple[Finding, ...]
    waived: tuple[Waived, ...]


def lint(tree: Tree) -> tuple[Finding, ...]:
    """Return every finding, waived or not, by file, line and rule."""
    found = {_finding(tree, rule, *note): None for rule, check in OF_TREE for note in check(tree)}
    for build in (*tree.builds, *tree.dependants):
        component = tree.layout.is_component(build.directory)
        for rule, look in (*OF_COMPONENT, *OF_EVERY_FILE) if component else OF_EVERY_FILE:
            file = layout_rules.build_file(build.directory)
            found |= {_finding(tree, rule, file, *note): None for note in look(build, tree)}
    return _sorted(found)


def judged(found: Iterable[Finding], waivers: Sequence[Waiver], matrix: str) -> Report:
    """Let pass what is waived; a waiver that lets nothing pass is a finding in the file ``matrix``."""
    reasons = {(waiver.component, waiver.rule): waiver.reason for waiver in waivers}
    findings: list[Finding] = []
    waived: list[Waived] = []
    used = set()
    for finding in found:
        key = (finding.component, finding.rule)
        if key in reasons:
            used.add(key)
            waived.append(Waived(finding=finding, reason=reasons[key]))
        else:
            findings.append(finding)
    findings += (
        Finding(
            file=matrix,
            line=waiver.line,
            rule=WAIVER,
            component=waiver.component,
            message=f"{waiver.component} does not break {waiver.rule}; leave this waiver out",
        )
        for waiver in waivers
        if (waiver.component, waiver.rule) not in used
    )
    return Report(findings=_sorted(findings), waived=tuple(waived))


def report(tree: Tree, waivers: Iterable[Waiver], directories: Sequence[str], matrix: str) -> Report:
    """Return what is wrong in some folders, everywhere if none is named; ``matrix`` is the file of the waivers."""
    layout = tree.layout
    places = {layout.component(each): each for each in tree.directories | tree.folders()}
    asked = [each for each in waivers if lies_in(places.get(each.component, ""), directories)]
    found = ((each.file.removeprefix(layout.prefix).rpartition("/")[0] or ".", each) for each in lint(tree))
    return judged([each for folder, each in found if lies_in(folder, directories)], asked, matrix)


def lies_in(directory: str, chosen: Sequence[str]) -> bool:
    """Whether a folder is one of those chosen, or below one; where none is chosen, all are."""
    return not chosen or any(each in {".", directory} or directory.startswith(f"{each}/") for each in chosen)


def _finding(tree: Tree, rule: str, file: str, line: int, message: str) -> Finding:
    layout = tree.layout
    component = layout.component(file.rpartition("/")[0] or ".")
    return Finding(file=f"{layout.prefix}{file}", line=line, rule=rule, component=component, message=message)


def _sorted(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda each: (each.file, each.line, _ORDER[each.rule], each.message)))
