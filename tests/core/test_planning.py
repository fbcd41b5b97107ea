from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.matrix import ConditionalRules, Entry, Instance, Matrix, Package, PinnedSdist, Rules, digest, wanted
from tasks.core.planning import Knowledge, make_plan, questions
from tasks.core.releases import Project, ProjectFile, identify, parse_requires_python
from tasks.core.targets import PythonTag, Target

if TYPE_CHECKING:
    from tasks.core.plan import Plan

FREEBSD = "freebsd_15_1_release_amd64"
DIGEST = "0" * 64


def target(*platforms: str, python: str = "cp312", name: str = "t") -> Target:
    pythons = tuple(PythonTag.parse(tag) for tag in python.split())
    return Target(name=name, instance="i/1", arch="x86_64", platforms=platforms, pythons=pythons)


def project(*filenames: str, name: str = "x", yanked: str = "", requires: str | None = None) -> Project:
    files = []
    for filename in filenames:
        found = identify(canonicalize_name(name), filename)
        assert found is not None
        kind, version = found
        files.append(
            ProjectFile(
                filename=filename,
                url=f"https://files.example/{filename}",
                version=version,
                kind=kind,
                sha256=DIGEST,
                yanked=filename == yanked,
                requires_python=parse_requires_python(requires or ""),
            )
        )
    return Project.of(canonicalize_name(name), files)


@dataclass(frozen=True, kw_only=True)
class World:
    """What is asked for and what is there; the decision is one line of text."""

    ask: str = "latest"
    on: tuple[str, ...] = (FREEBSD,)
    python: str = "cp312"
    abi3: bool = False
    upstream: bool = False
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ("x-1.0.tar.gz",)
    requires: str | None = None
    rules: Rules = field(default_factory=Rules)

    def decide(self) -> list[str]:
        entry = Entry(
            text=self.ask,
            target="t",
            abi3=self.abi3,
            upstream=self.upstream,
            rules=(ConditionalRules(rules=self.rules),),
        )
        matrix = Matrix(
            instances={"i/1": Instance(name="i/1", worker="core-ci")},
            targets={"t": target(*self.on, python=self.python)},
            packages=(Package(name="X", entries=(entry,)),),
        )
        page = ProjectPage(
            name=canonicalize_name("x"), files=tuple(IndexFile(filename=name, sha256=DIGEST) for name in self.ours)
        )
        name = canonicalize_name("x")
        known = Knowledge(
            pages={name: page} if self.ours else {},
            projects={name: project(*self.theirs, requires=self.requires)} if self.theirs else {name: "X: not found"},
            patches={},
        )
        plan = make_plan(matrix, digest(matrix, None), wanted(matrix, None), known)
        return (
            [f"build {action.wheel.filename}" for action in plan.actions]
            + [f"{skipped.state} {skipped.reason}" for skipped in plan.skipped]
            + [f"error {error.message}" for error in plan.errors]
        )


OURS = f"x-1.0-cp312-cp312-{FREEBSD}.whl"
LINUX = "manylinux_2_28_x86_64"


@pytest.mark.parametrize(
    ("world", "decision"),
    [
        # nothing there
        (World(), f"build x-1.0-cp312-cp312-{FREEBSD}.whl"),
        (World(abi3=True, python="cp312 cp314"), f"build x-1.0-cp312-abi3-{FREEBSD}.whl"),
        (World(on=("a_1", "a_2")), "build x-1.0-cp312-cp312-a_1.a_2.whl"),
        (World(rules=Rules(revision=2)), f"build x-1.0-2-cp312-cp312-{FREEBSD}.whl"),
        (World(python="cp313t"), f"build x-1.0-cp313-cp313t-{FREEBSD}.whl"),
        # on our index
        (World(ours=(OURS,)), f"present on the index: {OURS}"),
        (World(ours=(OURS.upper().replace("X-", "x-").replace(".WHL", ".whl"),)), "present on the index: x-1.0-CP312-CP312-FREEBSD_15_1_RELEASE_AMD64.whl"),
        (World(ours=("x-1.0-cp311-cp311-freebsd_15_1_release_amd64.whl",)), f"build {OURS}"),
        (World(ours=("x-1.0-cp311-abi3-freebsd_15_1_release_amd64.whl",)), "present on the index: x-1.0-cp311-abi3-freebsd_15_1_release_amd64.whl"),
        (World(ours=("x-1.0-cp313-abi3-freebsd_15_1_release_amd64.whl",)), f"build {OURS}"),
        (World(ours=("x-1.0-cp312-cp312-freebsd_15_0_release_amd64.whl",)), f"build {OURS}"),
        (World(ours=("x-0.9-cp312-cp312-freebsd_15_1_release_amd64.whl",)), f"build {OURS}"),
        (World(ours=(OURS,), abi3=True), f"build x-1.0-cp312-abi3-{FREEBSD}.whl"),
        (World(ours=(OURS,), rules=Rules(revision=2)), f"build x-1.0-2-cp312-cp312-{FREEBSD}.whl"),
        (World(ours=(f"x-1.0-2-cp312-cp312-{FREEBSD}.whl",)), f"present on the index: x-1.0-2-cp312-cp312-{FREEBSD}.whl"),
        (World(ours=("x-1.0-cp312-cp312-a_1.whl",), on=("a_1", "a_2")), "build x-1.0-cp312-cp312-a_1.a_2.whl"),
        (World(ours=("x-1.0-cp312-cp312-a_1.a_2.whl",), on=("a_1", "a_2")), "present on the index: x-1.0-cp312-cp312-a_1.a_2.whl"),
        (World(ours=("x-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",), on=(LINUX,)), "present on the index: x-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"),
        (World(ours=("x-1.0-cp312-cp312-manylinux2014_x86_64.whl",), on=(LINUX,)), "present on the index: x-1.0-cp312-cp312-manylinux2014_x86_64.whl"),
        (World(ours=("x-1.0-cp312-cp312-manylinux_2_34_x86_64.whl",), on=(LINUX,)), f"build x-1.0-cp312-cp312-{LINUX}.whl"),
        (World(ours=("x-1.0-cp312-cp312-musllinux_1_1_x86_64.whl",), on=("musllinux_1_2_x86_64",)), "present on the index: x-1.0-cp312-cp312-musllinux_1_1_x86_64.whl"),
        (World(ours=("x-1.0-cp312-cp312-macosx_11_0_universal2.whl",), on=("macosx_14_0_arm64",)), "present on the index: x-1.0-cp312-cp312-macosx_11_0_universal2.whl"),
        # pure or native
        (World(ours=("x-1.0-py3-none-any.whl",)), "present on the index: x-1.0-py3-none-any.whl"),
        (World(ours=("x-1.0-py3-none-any.whl",), rules=Rules(native=True)), f"build {OURS}"),
        (World(ours=("x-1.0-py3-none-any.whl",), theirs=("x-1.0.tar.gz", "x-1.0-cp312-cp312-win_amd64.whl")), f"build {OURS}"),
        (World(ours=("x-1.0-py3-none-any.whl",), theirs=("x-1.0.tar.gz", "x-1.0-cp312-cp312-win_amd64.whl"), rules=Rules(native=False)), "present on the index: x-1.0-py3-none-any.whl"),
        # upstream
        (World(upstream=True, theirs=("x-1.0.tar.gz", OURS)), f"upstream on the public index: {OURS}"),
        (World(upstream=False, theirs=("x-1.0.tar.gz", OURS)), f"build {OURS}"),
        (World(upstream=True, theirs=("x-1.0.tar.gz", "x-1.0-py3-none-any.whl")), "upstream on the public index: x-1.0-py3-none-any.whl"),
        (World(upstream=True, theirs=("x-1.0.tar.gz", "x-1.0-py3-none-any.whl", "x-1.0-cp312-cp312-win_amd64.whl")), f"build {OURS}"),
        (World(upstream=True, on=(LINUX,), theirs=("x-1.0.tar.gz", "x-1.0-cp39-abi3-manylinux_2_17_x86_64.whl")), "upstream on the public index: x-1.0-cp39-abi3-manylinux_2_17_x86_64.whl"),
        # which release
        (World(theirs=("x-1.0.tar.gz", "x-2.0rc1.tar.gz", "x-0.9.tar.gz")), f"build {OURS}"),
        (World(ask="2.0rc1", theirs=("x-1.0.tar.gz", "x-2.0rc1.tar.gz")), f"build x-2.0rc1-cp312-cp312-{FREEBSD}.whl"),
        (World(ask="~=1.0", theirs=("x-1.0.tar.gz", "x-1.9.tar.gz", "x-2.0.tar.gz")), f"build x-1.9-cp312-cp312-{FREEBSD}.whl"),
        (World(ask="<2", theirs=("x-1.0.tar.gz", "x-1.9-cp312-cp312-win_amd64.whl")), f"build {OURS}"),
        (World(ask="1.0.0"), f"build {OURS}"),
        # errors
        (World(theirs=()), "error X: not found"),
        (World(ask="9"), "error X has no version 9 (newest: 1.0)"),
        (World(ask="~=7.99"), "error X has no release that matches ~=7.99 (newest: 1.0)"),
        (World(theirs=("x-1.0-cp39-cp39-win_amd64.whl",)), "error X 1.0 has no sdist on the public index; pin one with `sdist: URL#sha256=…`"),
        (World(requires="<3.12"), "error X 1.0 requires Python <3.12, which cp312 is not"),
    ],
)  # fmt: skip
def test_decision(world: World, decision: str) -> None:
    assert world.decide() == [decision]


def plan_of(*entries: Entry, targets: dict[str, Target] | None = None, known: Knowledge | None = None) -> Plan:
    matrix = Matrix(targets=targets or {"t": target(FREEBSD)}, packages=(Package(name="X", entries=entries),))
    name = canonicalize_name("x")
    known = known or Knowledge(pages={}, projects={name: project("x-1.0.tar.gz", "x-2.0.tar.gz")}, patches={})
    return make_plan(matrix, "digest", wanted(matrix, None), known)


def test_latest_that_is_also_pinned_is_one_action() -> None:
    plan = plan_of(Entry(text="latest", target="t"), Entry(text="2.0", target="t"))
    assert [action.wheel.filename for action in plan.actions] == [f"x-2.0-cp312-cp312-{FREEBSD}.whl"]
    assert [(skipped.state, skipped.reason) for skipped in plan.skipped] == [("same", "the same wheel as latest on t")]


def test_the_order_of_the_matrix_and_of_platform_tags_changes_no_plan() -> None:
    targets = {"a": target("p_1", "p_2", name="a"), "b": target("p_2", "p_1", name="b")}
    entries = [Entry(text="1.0", target="a"), Entry(text="latest", target="b"), Entry(text="2.0", target="a")]
    plan = plan_of(*entries, targets=targets)
    assert plan == plan_of(*reversed(entries), targets=targets)
    assert [skipped.reason for skipped in plan.skipped] == ["the same wheel as latest on b"]


def test_two_recipes_for_one_wheel_are_an_error() -> None:
    other = (ConditionalRules(rules=Rules(env={"A": "1"})),)
    plan = plan_of(Entry(text="latest", target="t"), Entry(text="2.0", target="t", rules=other))
    assert [error.message for error in plan.errors] == [
        f"x-2.0-cp312-cp312-{FREEBSD}.whl is planned already, for latest on t, otherwise built"
    ]


def test_one_packages_error_leaves_the_rest_planned() -> None:
    plan = plan_of(Entry(text="9", target="t"), Entry(text="1.0", target="t"))
    assert (len(plan.actions), len(plan.errors)) == (1, 1)


def test_a_yanked_pin_is_planned_with_a_warning() -> None:
    name = canonicalize_name("x")
    known = Knowledge(pages={}, projects={name: project("x-1.0.tar.gz", yanked="x-1.0.tar.gz")}, patches={})
    plan = plan_of(Entry(text="1.0", target="t"), known=known)
    assert len(plan.actions) == 1
    assert plan.warnings == ("X 1.0 is yanked",)


def test_a_pin_that_our_index_satisfies_asks_the_public_index_nothing() -> None:
    matrix = Matrix(
        targets={"t": target(FREEBSD)}, packages=(Package(name="X", entries=(Entry(text="1.0", target="t"),)),)
    )
    asked = wanted(matrix, None)
    name = canonicalize_name("x")
    page = ProjectPage(name=name, files=(IndexFile(filename=OURS, sha256=DIGEST),))
    assert questions(asked, {name: page}) == ()
    assert questions(asked, {}) == ("x",)


def test_a_wheel_whose_recipe_changed_is_not_rebuilt_but_named() -> None:
    name = canonicalize_name("x")
    wheel = f"x-2.0-cp312-cp312-{FREEBSD}.whl"
    page = ProjectPage(name=name, files=(IndexFile(filename=wheel, sha256=DIGEST, recipe="f" * 64),))
    known = Knowledge(pages={name: page}, projects={name: project("x-2.0.tar.gz")}, patches={})
    plan = plan_of(Entry(text="latest", target="t"), known=known)
    assert [skipped.reason for skipped in plan.skipped] == [f"on the index: {wheel}; recipe changed: set `revision`"]
    assert plan.warnings == (f"{wheel} is on the index, and its recipe has changed: set `revision` to replace it",)


def test_a_pinned_sdist_is_built_without_asking() -> None:
    pinned = PinnedSdist(url="https://files.example/x-3.0.tar.gz", sha256="a" * 64)
    plan = plan_of(Entry(text="3.0", target="t", sdist=pinned, upstream=True))
    assert [(action.sdist.url, action.sdist.sha256) for action in plan.actions] == [(pinned.url, pinned.sha256)]


def test_rules_apply_in_order_by_version_and_override_key_by_key() -> None:
    rules = (
        ConditionalRules(rules=Rules(env={"CFLAGS": "-I/a", "MAKE": "gmake"}, system_packages=("a",))),
        ConditionalRules(rules=Rules(env={"CFLAGS": "-I/b"}), when=SpecifierSet(">=2")),
        ConditionalRules(rules=Rules(constraints=("Cython<3",)), when=SpecifierSet("<2")),
    )
    plan = plan_of(Entry(text="1.0", target="t", rules=rules), Entry(text="2.0", target="t", rules=rules))
    assert [action.rules.to_dict() for action in plan.actions] == [
        {"constraints": ["Cython<3"], "env": {"CFLAGS": "-I/a", "MAKE": "gmake"}, "system_packages": ["a"]},
        {"env": {"CFLAGS": "-I/b", "MAKE": "gmake"}, "system_packages": ["a"]},
    ]


def test_the_python_tag_in_a_config_setting_is_replaced_literally() -> None:
    rules = (ConditionalRules(rules=Rules(config_settings={"--tag": ("{python_tag}", "{other}")})),)
    (action,) = plan_of(Entry(text="1.0", target="t", rules=rules)).actions
    assert action.rules.config_settings == {"--tag": ("cp312", "{other}")}


def test_a_timeout_does_not_change_the_recipe_but_an_environment_does() -> None:
    def key(rules: Rules) -> str:
        (action,) = plan_of(Entry(text="1.0", target="t", rules=(ConditionalRules(rules=rules),))).actions
        return action.key

    assert key(Rules(timeout=5)) == key(Rules()) != key(Rules(env={"A": "1"}))
