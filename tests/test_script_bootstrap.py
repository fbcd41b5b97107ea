"""What the script does with each system's package manager: programs stand for it, whose arguments are noted.

Debian's own one is met in ``tests/system``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tasks.script import BUILD_HOST, render
from tests.scripts import SHELLS, VALUES, System, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVIL = "it's $(touch hacked) `touch hacked` \"; touch hacked; '"
ROOT = "echo 0"
SOMEBODY = "echo 1001"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A system, on which libyaml is installed, and whose package manager knows of CPython 3.12 and 3.13t."""

    programs: Mapping[str, str]
    asked: tuple[str, ...]
    """How it is asked whether ``EVIL`` is installed."""
    install: tuple[str, ...]
    """How packages are installed; they come behind the last."""
    pythons: tuple[str, str]
    """The packages of those interpreters."""


def only(name: str) -> str:
    """A program that succeeds where its last argument is this one."""
    return f'for last in "$@"; do :; done; [ "$last" = {name} ]'


FREEBSD = Platform(
    programs={
        "uname": "echo FreeBSD",
        "id": ROOT,
        "pkg": """case "$1 $2 $*" in
"info -e "*) [ "$3" = libyaml ] ;;
*"rquery -U %n python312"|*"rquery -U %n python313t") echo "$4" ;;
*" rquery "*) exit 1 ;;
esac""",
    },
    asked=("pkg <info> <-e> <{}>",),
    install=("pkg <install> <-y>",),
    pythons=("python312", "python313t"),
)
DEBIAN = Platform(
    programs={
        "uname": "echo Linux",
        "id": ROOT,
        "dpkg-query": f"{only('libyaml')} && printf 'ii '",
        "apt-get": "",
        "apt-cache": 'case $3 in python3.12-dev|python3.13-nogil) echo "Package: $3" ;; *) exit 100 ;; esac',
    },
    asked=("dpkg-query <--show> <--showformat> <${{db:Status-Abbrev}}> <{}>",),
    install=("apt-get <update> <-q>", "apt-get <install> <-q> <-y> <-o> <Dpkg::Use-Pty=0> <--no-install-recommends>"),
    pythons=("python3.12-dev", "python3.13-nogil"),
)
FEDORA = Platform(
    programs={
        "uname": "echo Linux",
        "id": ROOT,
        "rpm": only("libyaml"),
        "dnf": 'case $4 in python3.12-devel|python3.13-freethreading-devel) echo "$4-3-1.x86_64" ;; esac',
    },
    asked=("rpm <-q> <--whatprovides> <{}>",),
    install=("dnf <install> <-q> <-y>",),
    pythons=("python3.12-devel", "python3.13-freethreading-devel"),
)
ALPINE = Platform(
    programs={
        "uname": "echo Linux",
        "id": ROOT,
        "apk": 'case $1 in info) [ "$3" = libyaml ] ;; search) echo python3-dev-3.12.11-r0 ;; esac',
    },
    asked=("apk <info> <-e> <{}>",),
    install=("apk <add> <--update-cache> <--quiet> <--no-progress>",),
    pythons=("python3-dev", ""),
)
MACOS = Platform(
    programs={
        "uname": "echo Darwin",
        "id": SOMEBODY,
        "brew": """case "$*" in
--prefix) echo /opt/homebrew ;;
"list --versions "*) [ "$3" = libyaml ] ;;
"info python@3.12") echo "==> python@3.12: stable 3.12.12 (bottled)" ;;
"info python-freethreading") echo "==> python-freethreading: stable 3.13.7 (bottled)" ;;
info*) exit 1 ;;
esac""",
    },
    asked=("brew <list> <--versions> <{}>",),
    install=("brew <install> <--quiet>",),
    pythons=("python@3.12", "python-freethreading"),
)
PLATFORMS = {"pkg": FREEBSD, "apt-get": DEBIAN, "dnf": FEDORA, "apk": ALPINE, "brew": MACOS}
LINUXES = {"apt-get": DEBIAN, "dnf": FEDORA, "apk": ALPINE}


@pytest.fixture(params=PLATFORMS)
def manager(request: pytest.FixtureRequest) -> str:
    """Return the name of each package manager, one after the other."""
    return str(request.param)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_what_is_not_installed_is_installed_by_the_system_s_own_means(
    manager: str, shell: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    platform = PLATFORMS[manager]
    system = System(tmp_path, platform.programs)

    code, said = system.prepare(by=shell, may_install="can", system_packages=[EVIL, "libyaml", "lang/rust"])

    assert code == 0, said
    assert said[0] == f"spare-tire: installing with {manager}: {EVIL} lang/rust"
    *asking, last = [*platform.asked, *platform.install]
    ran = system.ran(*platform.programs)
    assert [each for each in ran if EVIL in each] == [platform.asked[0].format(EVIL), f"{last} <{EVIL}> <lang/rust>"]
    assert ran.index(f"{last} <{EVIL}> <lang/rust>") > max(ran.index(each.format("libyaml")) for each in asking)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "ran", "root"]


def test_where_all_is_installed_nothing_is_done(manager: str, tmp_path: Path) -> None:
    system = System(tmp_path, {**PLATFORMS[manager].programs, "id": SOMEBODY})

    code, said = system.prepare(may_install="must", system_packages=["libyaml"])

    assert (code, said[0]) == (0, "spare-tire: the system packages that the matrix names are installed")
    assert [each for each in system.ran(manager) if "<install>" in each or "<add>" in each] == []


def test_what_is_not_to_be_installed_is_named(manager: str, tmp_path: Path) -> None:
    system = System(tmp_path, PLATFORMS[manager].programs)

    code, said = system.prepare(may_install="no", system_packages=["libyaml", "rust", "gmake"])

    assert code == 0
    assert said[:3] == [
        "spare-tire: system packages that the matrix names, left to you to install: rust gmake",
        "spare-tire-fact left rust",
        "spare-tire-fact left gmake",
    ]
    assert [each for each in system.ran(manager) if "<install>" in each or "<add>" in each] == []


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("name", ["", "-o", "bash-", "--allow-downgrades", "two\nspare-tire-fact left x", "tab\there"])
def test_what_could_be_taken_for_something_else_is_no_package(name: str, shell: list[str], tmp_path: Path) -> None:
    system = System(tmp_path, DEBIAN.programs)

    code, said = system.prepare(by=shell, may_install="can", system_packages=["libyaml", name])

    assert code == 2
    assert "\n".join(said) == (
        f"spare-tire: the system package '{name}' is no package's name: "
        "it is empty, begins or ends with - or has control characters"
    )
    assert system.ran("apt-get") == []


def test_a_package_manager_that_fails_ends_the_preparation_with_its_own_words(manager: str, tmp_path: Path) -> None:
    platform = PLATFORMS[manager]
    system = System(tmp_path, platform.programs)
    fails = (
        f'case " $* " in *" install "*|*" add "*) echo "no repositories"; exit 9 ;; esac\n{platform.programs[manager]}'
    )
    system.add(manager, fails)

    code, said = system.prepare(may_install="can", system_packages=["rust"])

    assert (code, said[-1]) == (9, "no repositories")


def test_lists_that_cannot_be_brought_up_to_date_may_do(tmp_path: Path) -> None:
    system = System(tmp_path, {**DEBIAN.programs, "apt-get": '[ "$1" = install ]'})

    code, said = system.prepare(may_install="can", system_packages=["rust"])

    assert code == 0
    assert said[1] == (
        "spare-tire: the lists of packages cannot be brought up to date; going on with those that are here"
    )
    assert len(system.ran("apt-get")) == 2


# ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

LETS = 'shift; exec "$@"'  # -n
ASKS = "echo 'a password is required' >&2; exit 1"


@pytest.mark.parametrize(
    ("programs", "becomes"),
    [
        ({"sudo": LETS}, "sudo"),
        ({"doas": LETS}, "doas"),
        ({"sudo": LETS, "doas": LETS}, "sudo"),
        ({"sudo": ASKS, "doas": LETS}, "doas"),
    ],
)
@pytest.mark.parametrize("name", ["pkg", *LINUXES])
def test_a_user_who_becomes_root_without_a_password_does_so(
    name: str, programs: Mapping[str, str], becomes: str, tmp_path: Path
) -> None:
    platform = PLATFORMS[name]
    system = System(tmp_path, {**platform.programs, "id": SOMEBODY, "true": "", **programs})

    code, said = system.prepare(may_install="can", system_packages=["rust"])

    assert code == 0, said
    through = [each.replace("<env> <DEBIAN_FRONTEND=noninteractive> ", "") for each in system.ran(becomes)]
    through = [each.replace("<env> <ASSUME_ALWAYS_YES=yes> ", "") for each in through]
    last = platform.install[-1].replace(name, f"{becomes} <-n> <{name}>", 1)
    assert (through[0], through[-1]) == (f"{becomes} <-n> <true>", f"{last} <rust>")


@pytest.mark.parametrize("programs", [{}, {"sudo": ASKS, "doas": ASKS}], ids=["neither", "both ask"])
@pytest.mark.parametrize("name", ["pkg", *LINUXES])
def test_a_user_who_does_not_is_told_what_to_install(name: str, programs: Mapping[str, str], tmp_path: Path) -> None:
    system = System(tmp_path, {**PLATFORMS[name].programs, "id": SOMEBODY, **programs})
    told = (
        "spare-tire: system packages that the matrix names, not installed, since that takes root: this is user 1001, "
        "and neither sudo nor doas lets it without a password: rust gmake"
    )

    code, said = system.prepare(may_install="can", system_packages=["rust", "libyaml", "gmake"])
    assert code == 0
    assert said[:3] == [told, "spare-tire-fact left rust", "spare-tire-fact left gmake"]

    assert system.prepare(may_install="must", system_packages=["rust", "libyaml", "gmake"]) == (2, [told])


def test_brew_is_not_run_as_root(tmp_path: Path) -> None:
    system = System(tmp_path, {**MACOS.programs, "sudo": LETS})
    assert system.prepare(may_install="can", system_packages=["rust"])[0] == 0
    assert system.ran("sudo") == []


@pytest.mark.parametrize("name", ["Linux", "Darwin", "OpenBSD"])
def test_a_system_without_a_package_manager_that_is_known_is_told_of(name: str, tmp_path: Path) -> None:
    system = System(tmp_path, {"uname": f"echo {name}", "id": SOMEBODY, "sudo": LETS})
    told = (
        "spare-tire: system packages that the matrix names, "
        "not installed: of pkg, brew, apt-get, dnf and apk there is none: x y"
    )

    code, said = system.prepare(may_install="can", system_packages=["x", "y"], missing=["cp312"])
    assert code == 0
    assert said[:3] == [told, "spare-tire-fact left x", "spare-tire-fact left y"]
    assert [line for line in said if line.startswith("spare-tire-fact package")] == []

    assert system.prepare(may_install="must", system_packages=["x", "y"]) == (2, [told])
    assert system.ran("sudo") == []


@pytest.mark.parametrize("name", ["FreeBSD", "Darwin", "NetBSD"])
@pytest.mark.parametrize("manager", LINUXES)
def test_another_system_s_package_manager_is_left_alone(name: str, manager: str, tmp_path: Path) -> None:
    system = System(tmp_path, {**LINUXES[manager].programs, **FREEBSD.programs, "uname": f"echo {name}"})
    assert system.prepare(may_install="can", system_packages=["rust"])[0] == 0
    assert system.ran(manager) == []


# ── What the host has ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_missing_interpreter_is_reported_with_the_package_that_brings_it(
    manager: str, shell: list[str], tmp_path: Path
) -> None:
    platform = PLATFORMS[manager]
    system = System(tmp_path, platform.programs)

    code, said = system.prepare(by=shell, missing=["cp312", "cp313t", "cp39"])

    assert code == 0
    assert [line for line in said if line.startswith("spare-tire-fact")] == [
        f"spare-tire-fact package cp312 {manager} {platform.pythons[0]}",
        f"spare-tire-fact package cp313t {manager} {platform.pythons[1]}",
        f"spare-tire-fact package cp39 {manager} ",
    ]


def test_alpine_has_no_free_threaded_interpreter(tmp_path: Path) -> None:
    said = System(tmp_path, ALPINE.programs).prepare(missing=["cp312", "cp312t"])[1]
    assert [line for line in said if line.startswith("spare-tire-fact")] == [
        "spare-tire-fact package cp312 apk python3-dev",
        "spare-tire-fact package cp312t apk ",
    ]


def test_an_interpreter_that_comes_with_a_package_is_found(tmp_path: Path) -> None:
    minor = sys.version_info.minor
    brings = f"/bin/ln -sf '{sys.executable}' '{tmp_path}/bin/python3.{minor}'"
    system = System(tmp_path, {**DEBIAN.programs, "apt-get": f'[ "$1" = update ] || {brings}'})

    code, said = system.prepare(may_install="can", system_packages=["cpython"], missing=[f"cp3{minor}", "cp37"])

    assert code == 0
    (found,) = (line for line in said if line.startswith("spare-tire-fact python "))
    assert found.startswith(f'spare-tire-fact python {tmp_path}/bin/python3.{minor}\t{{"version": [3, {minor}, ')


@pytest.mark.parametrize(
    ("name", "prefix"), [("pkg", "/usr/local"), ("brew", "/opt/homebrew")], ids=["FreeBSD", "macOS"]
)
def test_headers_that_the_compiler_does_not_look_for_are_told_of(name: str, prefix: str, tmp_path: Path) -> None:
    system = System(
        tmp_path, {**PLATFORMS[name].programs, "cc": "printf '%s\\n' ' /usr/include' 'End of search list.' >&2"}
    )
    told = (
        f"spare-tire: headers: packages have theirs in {prefix}/include, where cc does not look; "
        f"the matrix's env can say so: CFLAGS: -I{prefix}/include, LDFLAGS: -L{prefix}/lib"
    )
    assert told in system.prepare()[1]

    system.add("cc", f"printf '%s\\n' ' {prefix}/include' ' /usr/include' 'End of search list.' >&2")
    assert [line for line in system.prepare()[1] if line.startswith("spare-tire: headers: ")] == []


@pytest.mark.parametrize("name", LINUXES)
def test_headers_are_where_a_linux_s_compiler_looks(name: str, tmp_path: Path) -> None:
    system = System(tmp_path, {**LINUXES[name].programs, "cc": ""})
    assert [line for line in system.prepare()[1] if line.startswith("spare-tire: headers: ")] == []


@pytest.mark.parametrize(
    ("name", "brings"),
    [
        ("pkg", "the base system has one"),
        ("apt-get", "the packages gcc and libc6-dev bring one"),
        ("dnf", "the package gcc brings one"),
        ("apk", "the packages gcc and musl-dev bring one"),
        ("brew", "xcode-select --install brings one"),
    ],
)
def test_a_missing_compiler_is_told_of_with_what_brings_it(name: str, brings: str, tmp_path: Path) -> None:
    system = System(tmp_path, PLATFORMS[name].programs)
    assert f"spare-tire: compiler: there is no cc on PATH ({system.path}); {brings}" in system.prepare()[1]


@pytest.mark.parametrize(
    ("programs", "told"),
    [
        ({"gmake": "echo GNU Make 4.4.1", "make": "exit 2"}, "make: GNU Make 4.4.1 (gmake)"),
        ({"make": "echo 'GNU Make 3.81'"}, "make: GNU Make 3.81 (make)"),
        ({"make": "echo usage >&2; exit 2"}, "make: there is no GNU make; the package gmake brings one"),
        ({}, "make: there is no GNU make; the package gmake brings one"),
    ],
)
def test_gnu_make_is_told_from_other_makes(programs: Mapping[str, str], told: str, tmp_path: Path) -> None:
    system = System(tmp_path, {**FREEBSD.programs, **programs})
    assert f"spare-tire: {told}" in system.prepare()[1]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_every_part_of_the_script_is_what_a_shell_reads(shell: list[str]) -> None:
    hostile = {"system_packages": [EVIL, "two\nlines"], "missing": [EVIL], "pythons": [EVIL], "root": EVIL}
    assert run(render(BUILD_HOST, {**VALUES, **hostile}), "", by=(*shell, "-n")) == (0, [])
