from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tasks.core.actions import Action, Patch
from tasks.core.look import Ours
from tasks.core.matrix import ConditionalRules, Entry, Instance, Matrix, Package, PinnedSdist, Rules, digest, wanted
from tasks.core.planning import Knowledge, make_plan, settle
from tasks.core.presence import Shelf, shelves
from tasks.core.releases import Project, ProjectFile, identify, parse_requires_python
from tasks.core.targets import PythonTag, Target

if TYPE_CHECKING:
    from tasks.core.plan import Plan

FREEBSD = "freebsd_15_1_release_amd64"
DIGEST = "0" * 64
X = canonicalize_name("x")


def target(*platforms: str, python: str = "cp312", name: str = "t") -> Target:
    pythons = tuple(PythonTag.parse(tag) for tag in python.split())
    return Target(name=name, instance="i/1", arch="x86_64", platforms=platforms, pythons=pythons)


def files(*texts: str, requires: str | None = None) -> Project:
    """A project of these files; ``x.whl!`` is yanked, ``x.whl@12`` came on the 12th, ``x.whl[>=3.9]`` requires that."""
    found = []
    for text in texts:
        match = re.fullmatch(r"(?P<name>[^!@\[]+)(?P<yanked>!?)(@(?P<day>\d+))?(\[(?P<requires>.+)\])?", text)
        assert match is not None
        identified = identify(X, match["name"])
        assert identified is not None
        found.append(
            ProjectFile(
                filename=match["name"],
                url=f"https://files.example/{match['name']}",
                version=identified[1],
                kind=identified[0],
                sha256=DIGEST,
                yanked=bool(match["yanked"]),
                requires_python=parse_requires_python(match["requires"] or requires or ""),
                upload_time=datetime(2026, 11, int(match["day"]), 12, tzinfo=UTC) if match["day"] else None,
            )
        )
    return Project.of(X, found)


def ours(*texts: str, recipe: str | None = None, patches: dict[str, Patch] | None = None) -> Ours:
    """What our index has; ``x.whl!bad`` is yanked because it is bad, ``x.whl[>=3.9]`` requires that."""
    rows = []
    for text in texts:
        match = re.fullmatch(r"(?P<name>[^!\[]+)(!(?P<yanked>[^\[]*))?(\[(?P<requires>.+)\])?", text)
        assert match is not None
        rows.append((match["name"], recipe, match["yanked"], match["requires"]))
    return Ours(shelves={X: shelves(rows).get(X, Shelf({}))}, patches=patches or {})


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
    sdist: str | None = None
    young: int | None = None
    """The day of the month since when a release is too young."""

    def decide(self) -> list[str]:
        entry = Entry(
            text=self.ask,
            target="t",
            abi3=self.abi3,
            upstream=self.upstream,
            rules=(ConditionalRules(rules=self.rules),),
            sdist=PinnedSdist(url=f"https://files.example/{self.sdist}", sha256=DIGEST) if self.sdist else None,
        )
        matrix = Matrix(
            instances={"i/1": Instance(name="i/1", worker="core-ci")},
            targets={"t": target(*self.on, python=self.python)},
            packages=(Package(name="X", entries=(entry,)),),
        )
        there = ours(*self.ours)
        settled = settle(wanted(matrix, None), there)
        served = files(*self.theirs, requires=self.requires) if self.theirs else "X: not found"
        known = Knowledge(
            ours=there,
            projects=dict.fromkeys(settled.questions, served),
            newer_than=datetime(2026, 11, self.young, tzinfo=UTC) if self.young else None,
        )
        plan = make_plan(matrix, digest(matrix, None), settled, known)
        return (
            [f"build {action.wheel.filename}" for action in plan.actions]
            + [f"{skipped.state} {skipped.reason}" for skipped in plan.skipped]
            + [f"error {error.message}" for error in plan.errors]
        )


LINUX, OLD_LINUX, MUSL = "manylinux_2_28_x86_64", "manylinux_2_5_x86_64", "musllinux_1_2_x86_64"
MAC, NEW_MAC, INTEL_MAC, ANY_MAC = (
    "macosx_11_0_arm64",
    "macosx_14_0_arm64",
    "macosx_11_0_x86_64",
    "macosx_11_0_universal2",
)
OURS = f"x-1.0-cp312-cp312-{FREEBSD}.whl"
SDIST = "x-1.0.tar.gz"
WIN = "x-1.0-cp312-cp312-win_amd64.whl"
"""What makes the release a native one, and installs nowhere here."""


def x(*tags: str) -> tuple[str, ...]:
    """Wheels of x 1.0 with these tags."""
    return tuple(f"x-1.0-{each}.whl" for each in tags)


def sdist_and(*tags: str) -> tuple[str, ...]:
    return (SDIST, *x(*tags))


def build(tags: str = f"cp312-cp312-{FREEBSD}", version: str = "1.0") -> str:
    return f"build x-{version}-{tags}.whl"


def here(tags: str = f"cp312-cp312-{FREEBSD}", note: str = "") -> str:
    return f"present on the index: x-1.0-{tags}.whl{note}"


def there(*tags: str) -> str:
    return f"upstream on the public index: {', '.join(x(*tags))}"


@pytest.mark.parametrize(
    ("world", "decision"),
    [
        # nothing there
        (World(), build()),
        (World(on=("a_1", "a_2")), build("cp312-cp312-a_1.a_2")),
        (World(python="cp313t"), build(f"cp313-cp313t-{FREEBSD}")),
        # our index has it, or another one
        (World(ours=(OURS,)), here()),
        (World(ours=x("CP312-CP312-FREEBSD_15_1_RELEASE_AMD64")), here("CP312-CP312-FREEBSD_15_1_RELEASE_AMD64")),
        (World(ours=(OURS.replace("x-", "X-"),)), here().replace("x-", "X-")),
        (World(ours=(OURS.replace("1.0-", "1.0.0-"),)), here().replace("1.0-", "1.0.0-")),
        (World(ours=x(f"cp311-cp311-{FREEBSD}")), build()),
        (World(ours=x("cp312-cp312-freebsd_15_0_release_amd64")), build()),
        (World(ours=(f"x-0.9-cp312-cp312-{FREEBSD}.whl",)), build()),
        (World(ours=(OURS,), theirs=(WIN,)), here()),
        (World(ours=(OURS,), requires="<3.12"), here()),
        (World(ours=(f"y-1.0-cp312-cp312-{FREEBSD}.whl",)), build()),
        (World(ours=("x-1.0.tar.gz", "x-1.0.whl")), build()),
        (World(ours=(f"{OURS}[>=3.13]",)), build()),
        (World(ours=(f"{OURS}[>=3.12.4]",)), here()),
        (World(ours=(f"{OURS}!it crashes",)), here(note="; yanked (it crashes): set `revision` to replace it")),
        (World(ours=(f"{OURS}!",)), here(note="; yanked: set `revision` to replace it")),
        (World(ours=(f"{OURS}!",), rules=Rules(revision=2)), build(f"2-cp312-cp312-{FREEBSD}")),
        (World(ours=(f"x-1.0-cp311-abi3-{FREEBSD}.whl!", OURS)), here()),
        # build tags
        (World(rules=Rules(revision=2)), build(f"2-cp312-cp312-{FREEBSD}")),
        (World(ours=(OURS,), rules=Rules(revision=2)), build(f"2-cp312-cp312-{FREEBSD}")),
        (World(ours=x(f"2-cp312-cp312-{FREEBSD}")), here(f"2-cp312-cp312-{FREEBSD}")),
        (World(ours=x(f"10-cp312-cp312-{FREEBSD}"), rules=Rules(revision=9)), here(f"10-cp312-cp312-{FREEBSD}")),
        (World(ours=x(f"2b-cp312-cp312-{FREEBSD}"), rules=Rules(revision=2)), here(f"2b-cp312-cp312-{FREEBSD}")),
        # abi3
        (World(abi3=True, python="cp312 cp314"), build(f"cp312-abi3-{FREEBSD}")),
        (World(ours=x(f"cp311-abi3-{FREEBSD}")), here(f"cp311-abi3-{FREEBSD}")),
        (World(ours=x(f"cp36.cp37-abi3-{FREEBSD}")), here(f"cp36.cp37-abi3-{FREEBSD}")),
        (World(ours=x(f"cp313-abi3-{FREEBSD}")), build()),
        (World(ours=x(f"cp311-abi3-{FREEBSD}"), abi3=True, python="cp312 cp314"), here(f"cp311-abi3-{FREEBSD}")),
        (World(ours=x(f"cp314-abi3-{FREEBSD}"), abi3=True, python="cp312 cp314"), build(f"cp312-abi3-{FREEBSD}")),
        (World(ours=(OURS,), abi3=True), build(f"cp312-abi3-{FREEBSD}")),
        (World(ours=x(f"py3-none-{FREEBSD}"), abi3=True), here(f"py3-none-{FREEBSD}")),
        (World(ours=x(f"cp311-abi3-{FREEBSD}"), python="cp313t"), build(f"cp313-cp313t-{FREEBSD}")),
        (World(ours=x(f"cp313-cp313-{FREEBSD}"), python="cp313t"), build(f"cp313-cp313t-{FREEBSD}")),
        (World(ours=x(f"cp313-cp313t-{FREEBSD}"), python="cp313"), build(f"cp313-cp313-{FREEBSD}")),
        (World(abi3=True, python="cp313t"), build(f"cp313-cp313t-{FREEBSD}")),
        # compressed tag sets
        (World(ours=x("cp312-cp312-a_1"), on=("a_1", "a_2")), build("cp312-cp312-a_1.a_2")),
        (World(ours=x("cp312-cp312-a_1.a_2"), on=("a_1", "a_2")), here("cp312-cp312-a_1.a_2")),
        (World(ours=x("cp312-cp312-a_2.a_1"), on=("a_1", "a_2")), here("cp312-cp312-a_2.a_1")),
        (World(ours=x("cp312-cp312-A_1.A_2.A_3"), on=("a_2",)), here("cp312-cp312-A_1.A_2.A_3")),
        (World(ours=x("cp311.cp312-cp311.cp312-a_1"), on=("a_1",)), here("cp311.cp312-cp311.cp312-a_1")),
        # manylinux and musllinux
        (World(ours=x("cp312-cp312-manylinux_2_17_x86_64"), on=(LINUX,)), here("cp312-cp312-manylinux_2_17_x86_64")),
        (World(ours=x("cp312-cp312-manylinux2014_x86_64"), on=(LINUX,)), here("cp312-cp312-manylinux2014_x86_64")),
        (World(ours=x("cp312-cp312-manylinux1_x86_64"), on=(OLD_LINUX,)), here("cp312-cp312-manylinux1_x86_64")),
        (World(ours=x("cp312-cp312-manylinux2010_x86_64"), on=(OLD_LINUX,)), build(f"cp312-cp312-{OLD_LINUX}")),
        (World(ours=x("cp312-cp312-manylinux_2_12_x86_64"), on=("manylinux2014_x86_64",)), here("cp312-cp312-manylinux_2_12_x86_64")),
        (World(ours=x("cp312-cp312-manylinux_2_34_x86_64"), on=(LINUX,)), build(f"cp312-cp312-{LINUX}")),
        (World(ours=x("cp312-cp312-manylinux_2_28_aarch64"), on=(LINUX,)), build(f"cp312-cp312-{LINUX}")),
        (World(ours=x(f"cp312-cp312-{MUSL}"), on=(LINUX,)), build(f"cp312-cp312-{LINUX}")),
        (World(ours=x("cp312-cp312-musllinux_1_1_x86_64"), on=(MUSL,)), here("cp312-cp312-musllinux_1_1_x86_64")),
        (World(ours=x("cp312-cp312-musllinux_1_3_x86_64"), on=(MUSL,)), build(f"cp312-cp312-{MUSL}")),
        # macOS
        (World(ours=x(f"cp312-cp312-{ANY_MAC}"), on=(NEW_MAC,)), here(f"cp312-cp312-{ANY_MAC}")),
        (World(ours=x("cp312-cp312-macosx_10_9_universal2"), on=(INTEL_MAC,)), here("cp312-cp312-macosx_10_9_universal2")),
        (World(ours=x(f"cp312-cp312-{NEW_MAC}"), on=(MAC,)), build(f"cp312-cp312-{MAC}")),
        (World(ours=x(f"cp312-cp312-{INTEL_MAC}"), on=(MAC,)), build(f"cp312-cp312-{MAC}")),
        (World(ours=x(f"cp312-cp312-{MAC}"), on=(ANY_MAC,)), build(f"cp312-cp312-{ANY_MAC}")),
        # pure or native
        (World(ours=x("py3-none-any")), here("py3-none-any")),
        (World(ours=x("py3-none-any"), rules=Rules(native=True)), build()),
        (World(ours=x("py3-none-any"), theirs=(SDIST, WIN)), build()),
        (World(ours=x("py3-none-any"), theirs=(SDIST, f"{WIN}!")), build()),
        (World(ours=x("py3-none-any"), theirs=(SDIST, WIN.replace("1.0", "0.9"))), here("py3-none-any")),
        (World(ours=x("py3-none-any"), theirs=(SDIST, WIN), rules=Rules(native=False)), here("py3-none-any")),
        (World(ours=x("py3-none-any"), theirs=(SDIST, WIN), ask="1.0"), build()),
        (World(ours=x("py3-none-any"), theirs=(), ask="1.0", rules=Rules(native=False)), here("py3-none-any")),
        # the public index has it
        (World(upstream=True, theirs=(SDIST, OURS)), there(f"cp312-cp312-{FREEBSD}")),
        (World(upstream=False, theirs=(SDIST, OURS)), build()),
        (World(upstream=True, theirs=(SDIST, OURS), ours=(OURS,)), here()),
        (World(upstream=True, theirs=(SDIST, OURS), rules=Rules(revision=2)), there(f"cp312-cp312-{FREEBSD}")),
        (World(upstream=True, theirs=(SDIST, f"{OURS}!")), build()),
        (World(upstream=True, theirs=(SDIST, f"{OURS}[>=3.13]")), build()),
        (World(upstream=True, theirs=(f"{SDIST}[>=3.13]", f"{OURS}[>=3.12]")), there(f"cp312-cp312-{FREEBSD}")),
        (World(upstream=True, theirs=(OURS,)), there(f"cp312-cp312-{FREEBSD}")),
        (World(upstream=True, theirs=sdist_and("py3-none-any")), there("py3-none-any")),
        (World(upstream=True, theirs=(*sdist_and("py3-none-any"), WIN)), build()),
        (World(upstream=True, theirs=sdist_and("cp39-abi3-manylinux_2_17_x86_64"), on=(LINUX,)), there("cp39-abi3-manylinux_2_17_x86_64")),
        (World(upstream=True, abi3=True, python="cp312 cp313", theirs=sdist_and("cp312-cp312-a_1", "cp313-cp313-a_1"), on=("a_1",)), there("cp312-cp312-a_1", "cp313-cp313-a_1")),
        (World(upstream=True, abi3=True, python="cp312 cp313", theirs=sdist_and("cp312-cp312-a_1"), on=("a_1",)), build("cp312-abi3-a_1")),
        (World(upstream=True, abi3=True, python="cp312 cp313", theirs=sdist_and("cp311-abi3-a_1"), on=("a_1",)), there("cp311-abi3-a_1")),
        # which release
        (World(theirs=(SDIST, "x-2.0rc1.tar.gz", "x-0.9.tar.gz")), build()),
        (World(theirs=(SDIST, "x-2.0.tar.gz!")), build()),
        (World(ask="2.0rc1", theirs=(SDIST, "x-2.0rc1.tar.gz")), build(version="2.0rc1")),
        (World(ask="~=1.0", theirs=(SDIST, "x-1.9.tar.gz", "x-2.0.tar.gz")), build(version="1.9")),
        (World(ask="<2", theirs=(SDIST, "x-1.9-cp312-cp312-win_amd64.whl")), build()),
        (World(ask="<2", theirs=(SDIST, "x-1.9.tar.gz[>=3.13]")), build()),
        (World(ask="<2", theirs=(SDIST, "x-1.9.tar.gz[>=3.12.3]")), build(version="1.9")),
        (World(ask="<2", theirs=(f"{SDIST}[>=3.13]",)), "error X has no release that matches <2 and fits the target: 1.0 is the newest"),
        (World(ask="1.0.0"), build()),
        # cooldown
        (World(young=9, theirs=(f"{SDIST}@2", "x-1.1.tar.gz@9")), build()),
        (World(young=9, theirs=(f"{SDIST}@9",)), "error X has no release that the cooldown admits: 1.0 is the newest"),
        (World(young=9, theirs=(SDIST,)), "error X 1.0: the public index gives no upload time, which the cooldown needs"),
        (World(young=9, theirs=(SDIST,), ask="1.0"), build()),
        (World(young=9, theirs=(f"{SDIST}@2", "x-1.1.tar.gz@9"), ask=">=1"), build(version="1.1")),
        # a pinned sdist
        (World(ask="1.0", sdist=SDIST, theirs=()), build()),
        (World(ask="1.0", sdist=SDIST, upstream=True, theirs=(SDIST, OURS)), build()),
        (World(ask="1.0", sdist=SDIST, ours=(OURS,), theirs=()), here()),
        (World(ask="1.0", sdist="X-1.0.0.zip?download=1", theirs=()), build()),
        (World(sdist=SDIST), "error the sdist is pinned, so the version must be too: found latest"),
        (World(ask="1.0", sdist="x-1.1.tar.gz"), "error the pinned sdist x-1.1.tar.gz is not one of X 1.0; expected a name such as x-1.0.tar.gz"),
        (World(ask="1.0", sdist="y-1.0.tar.gz"), "error the pinned sdist y-1.0.tar.gz is not one of X 1.0; expected a name such as x-1.0.tar.gz"),
        (World(ask="1.0", sdist=WIN, ours=(OURS,)), f"error the pinned sdist {WIN} is not one of X 1.0; expected a name such as x-1.0.tar.gz"),
        # errors
        (World(theirs=()), "error X: not found"),
        (World(ask="9"), "error X has no version 9 (newest: 1.0)"),
        (World(ask="~=7.99"), "error X has no release that matches ~=7.99 (newest: 1.0)"),
        (World(theirs=(WIN,)), "error X 1.0 has no sdist on the public index; pin one with `sdist: URL#sha256=…`"),
        (World(requires="<3.12"), "error X 1.0 requires Python <3.12, which cp312 is not"),
        (World(requires="!=3.12.*"), "error X 1.0 requires Python !=3.12.*, which cp312 is not"),
        (World(requires=">3.12"), build()),
        (World(requires="<=3.12"), build()),
    ],
)  # fmt: skip
def test_decision(world: World, decision: str) -> None:
    assert world.decide() == [decision]


def test_an_abi3_package_has_a_wheel_of_its_own_for_each_free_threaded_interpreter() -> None:
    assert World(abi3=True, python="cp313 cp313t cp314 cp314t", on=("a_1",)).decide() == [
        "build x-1.0-cp313-abi3-a_1.whl",
        "build x-1.0-cp313-cp313t-a_1.whl",
        "build x-1.0-cp314-cp314t-a_1.whl",
    ]


def plan_of(
    *entries: Entry,
    targets: dict[str, Target] | None = None,
    present: Ours | None = None,
    served: Project | None = None,
) -> Plan:
    matrix = Matrix(targets=targets or {"t": target(FREEBSD)}, packages=(Package(name="X", entries=entries),))
    known = present or ours()
    settled = settle(wanted(matrix, None), known)
    answer = served or files("x-1.0.tar.gz", "x-2.0.tar.gz")
    projects = dict.fromkeys(settled.questions, answer)
    return make_plan(matrix, "digest", settled, Knowledge(ours=known, projects=projects))


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
    plan = plan_of(Entry(text="1.0", target="t"), served=files("x-1.0.tar.gz!"))
    assert len(plan.actions) == 1
    assert plan.warnings == ("X 1.0 is yanked",)


# ── What is asked ──


@pytest.mark.parametrize(
    ("entry", "present", "asked"),
    [
        (Entry(text="1.0", target="t"), ours(OURS), ()),
        (Entry(text="1.0", target="t"), ours(), ("x",)),
        (Entry(text="latest", target="t"), ours(OURS), ("x",)),
        (Entry(text="==1.0", target="t"), ours(OURS), ("x",)),
        (Entry(text="1.0", target="t"), ours(*x("py3-none-any")), ("x",)),
        (Entry(text="3.0", target="t", sdist=PinnedSdist(url="https://files.example/x-3.0.tar.gz", sha256=DIGEST)), ours(), ()),
        (Entry(text="latest", target="t", sdist=PinnedSdist(url="https://files.example/x-3.0.tar.gz", sha256=DIGEST)), ours(), ()),
    ],
)  # fmt: skip
def test_the_public_index_is_asked_only_what_our_own_leaves_open(
    entry: Entry, present: Ours, asked: tuple[str, ...]
) -> None:
    matrix = Matrix(targets={"t": target(FREEBSD)}, packages=(Package(name="X", entries=(entry,)),))
    assert settle(wanted(matrix, None), present).questions == asked


# ── Changed recipes ──


def recipe(entry: Entry, patches: dict[str, Patch] | None = None, python: str = "cp312") -> str:
    """The key that the entry's wheel is built by now."""
    action: Action
    (action,) = plan_of(entry, present=ours(patches=patches), targets={"t": target(FREEBSD, python=python)}).actions
    return action.key


def asked(text: str, sdist: str | None = None, /, **rules: Any) -> Entry:  # noqa: ANN401 - as Rules has them
    pinned = PinnedSdist(url="https://files.example/x-2.0.tar.gz", sha256=sdist) if sdist else None
    said = (ConditionalRules(rules=Rules(**rules)),)
    return Entry(text=text, target="t", rules=said, sdist=pinned)


PATCHES = {name: Patch(path=name, sha256=digit * 64) for name, digit in (("a.patch", "a"), ("b.patch", "b"))}


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (asked("2.0"), asked("2.0"), True),
        (asked("2.0"), asked("latest"), True),
        (asked("2.0"), asked("2.0", env={"A": "1"}), False),
        (asked("2.0"), asked("latest", env={"A": "1"}), False),
        (asked("2.0", constraints=("Cython<3",)), asked("2.0"), False),
        (asked("2.0", patches=("a.patch",)), asked("2.0", patches=("b.patch",)), False),
        (asked("2.0", config_settings={"-C": ("{python_tag}",)}), asked("2.0", config_settings={"-C": ("{python_tag}",)}), True),
        (asked("2.0"), asked("2.0", timeout=5), True),
        (asked("2.0"), asked("2.0", native=True), True),
        (asked("2.0", "c" * 64), asked("2.0", "c" * 64), True),
        (asked("2.0", "c" * 64), asked("2.0", "d" * 64), False),
    ],
)  # fmt: skip
def test_a_wheel_whose_recipe_changed_is_not_rebuilt_but_named(before: Entry, now: Entry, *, same: bool) -> None:
    wheel = f"x-2.0-cp312-cp312-{FREEBSD}.whl"
    plan = plan_of(now, present=ours(wheel, recipe=recipe(before, PATCHES), patches=PATCHES))
    changed = f"{wheel} is on the index, and its recipe has changed: set `revision` to replace it"
    said = f"on the index: {wheel}{'' if same else '; recipe changed: set `revision`'}"
    assert [skipped.reason for skipped in plan.skipped] == [said]
    assert plan.warnings == (() if same else (changed,))


def test_another_sdist_is_noticed_where_the_public_index_was_asked() -> None:
    wheel = f"x-2.0-cp312-cp312-{FREEBSD}.whl"
    (skipped,) = plan_of(asked("latest"), present=ours(wheel, recipe=recipe(asked("2.0", "c" * 64)))).skipped
    assert skipped.reason == f"on the index: {wheel}; recipe changed: set `revision`"


@pytest.mark.parametrize("text", ["2.0", "latest"])
def test_a_wheel_of_other_tags_is_compared_by_its_rules_alone(text: str) -> None:
    settings = {"config_settings": {"--build-option": ("--py-limited-api={python_tag}",)}}
    key = recipe(asked("2.0", **settings), python="cp311")
    wheel = f"x-2.0-cp311-abi3-{FREEBSD}.whl"
    (skipped,) = plan_of(asked(text, **settings), present=ours(wheel, recipe=key)).skipped
    assert skipped.reason == f"on the index: {wheel}"
    (skipped,) = plan_of(asked(text), present=ours(wheel, recipe=key)).skipped
    assert skipped.reason == f"on the index: {wheel}; recipe changed: set `revision`"


def test_of_a_pure_wheel_nobody_knows_whose_settings_built_it() -> None:
    settings = {"config_settings": {"-C": ("{python_tag}",)}, "native": False}
    present = ours("x-2.0-py3-none-any.whl", recipe=recipe(asked("2.0", **settings), python="cp311"))
    (skipped,) = plan_of(asked("2.0", **settings), present=present).skipped
    assert skipped.reason == "on the index: x-2.0-py3-none-any.whl"


def test_a_recipe_key_ends_with_the_digest_of_the_rules_alone() -> None:
    one, two, other = recipe(asked("1.0")), recipe(asked("2.0")), recipe(asked("2.0", env={"A": "1"}))
    assert len(one) == 64
    assert one[:48] != two[:48]
    assert one[-16:] == two[-16:] != other[-16:]


# ── Actions ──


def test_a_pinned_sdist_is_built_from() -> None:
    pinned = PinnedSdist(url="https://files.example/a%20b/x-3.0.tar.gz", sha256="a" * 64)
    (action,) = plan_of(Entry(text="3.0", target="t", sdist=pinned, upstream=True)).actions
    assert (action.sdist.filename, action.sdist.url, action.sdist.sha256) == ("x-3.0.tar.gz", pinned.url, pinned.sha256)


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
