"""What happens to a wheel between the worker and ``dist``: real wheels, real machine code, the real tools."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.core.checks import Verdict
from tasks.core.matrix import Rules
from tasks.inspection import CheckFailed, Inspected, inspect
from tasks.wheelfile import newest_member, read_wheel, sha256_of
from tests.actions import action_of
from tests.binaries import elf
from tests.builds import pack
from tests.compiled import INTERPRETER, SUFFIX, compile_library, compile_module
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.core.actions import Action

LINUX = sysconfig.get_platform().replace("-", "_")
pytestmark = pytest.mark.skipif(
    LINUX != "linux_x86_64", reason="the platforms of these examples are of Linux on x86_64"
)
TAG = f"{INTERPRETER}-{INTERPRETER}"
MODULE = f"_spam{SUFFIX}"
OTHER_MODULE = MODULE.replace(f"-{INTERPRETER[2:]}-", "-399-")
TOO_NEW = "the presence of too-recent versioned symbols. You'll need to compile the wheel on an older toolchain."
PURE = "; if pure Python is meant, give the package `build: {native: false}` in the matrix"


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real extension module."""
    return compile_module(tmp_path_factory.mktemp("module"))


def action(
    *platforms: str, python: str = INTERPRETER, abi: str | None = None, native: bool | None = None, **rules: object
) -> Action:
    """Return the action for spam 1.0; ``native`` as the matrix says it, by default as for a native package."""
    return action_of(
        python=python,
        abi=abi,
        platforms=platforms or (LINUX,),
        rules=replace(Rules(native=native), **rules),  # type: ignore[arg-type]
        native=native is not False,
    )


def inspected(wheel: Path, wanted: Action, *sources: str, built_here: bool = True) -> Inspected:
    """Inspect a wheel whose sdist has these sources."""
    sdist = pack(wheel.parent / "sdists", "spam", "1.0", dict.fromkeys(sources, "x"))
    return inspect(wheel, sha256_of(wheel), wanted, sdist, built_here=built_here)


def outcomes(found: Inspected) -> dict[str, str]:
    return {finding.name: finding.verdict.value for finding in found.findings}


def detail(found: Inspected, name: str) -> str:
    return next(finding.detail for finding in found.findings if finding.name == name)


# ── Every check fails what it is for ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("check", "tag", "members", "sources", "wanted", "reason"),
    [
        (
            "machine code",
            "py3-none-any",
            {},
            ["src/_spam.c"],
            action(),
            f"the wheel holds no machine code, but the sdist has src/_spam.c (C): the log says what became of it{PURE}",
        ),
        (
            "machine code",
            f"{TAG}-{LINUX}",
            {},
            [],
            action(native=True),
            "the wheel holds no machine code, and the matrix says `native: true`",
        ),
        (
            "processor",
            f"{TAG}-{LINUX}",
            {MODULE: elf(183)},
            [],
            action(),
            f"{MODULE} is for aarch64, the target is x86_64",
        ),
        (
            "processor",
            f"{TAG}-{LINUX}",
            {MODULE: elf(62, system=9)},
            [],
            action(),
            f"{MODULE} is for FreeBSD, the target is Linux",
        ),
        (
            "processor",
            "py3-none-any",
            {MODULE: elf()},
            [],
            action(native=False),
            f"{MODULE} is machine code, in a wheel for every platform",
        ),
        (
            "processor",
            f"{TAG}-{LINUX}",
            {MODULE: elf()[:9]},
            [],
            action(),
            f"{MODULE}: its header is cut off",
        ),
        (
            "modules",
            f"{TAG}-{LINUX}",
            {OTHER_MODULE: elf()},
            [],
            action(),
            f"{OTHER_MODULE} is for cp399 alone, the wheel is for {INTERPRETER}",
        ),
        (
            "modules",
            f"{INTERPRETER}-abi3-{LINUX}",
            {MODULE: elf()},
            [],
            action(abi="abi3"),
            f"{MODULE} is for {INTERPRETER} alone, the wheel is for {INTERPRETER} and later, by the stable ABI",
        ),
        (
            "wheel",
            "py3-none-any",
            {},
            [],
            action(),
            f"the wheel has tags py3-none-any; expected {TAG}-{LINUX}{PURE}",
        ),
        (
            "wheel",
            f"{TAG}-freebsd_15_1_release_amd64",
            {},
            [],
            action(),
            f"the wheel has tags {TAG}-freebsd_15_1_release_amd64; expected {TAG}-{LINUX}",
        ),
        (
            "wheel",
            f"{TAG}-{LINUX}",
            {},
            [],
            action(abi="abi3"),
            f"the wheel has tags {TAG}-{LINUX}; expected {INTERPRETER}-abi3-{LINUX}",
        ),
    ],
)
def test_a_wheel_that_fails_a_check_is_told_why(
    tmp_path: Path,
    check: str,
    tag: str,
    members: dict[str, bytes],
    sources: Sequence[str],
    wanted: Action,
    reason: str,
) -> None:
    wheel = make_wheel(tmp_path, "spam", tag=tag, more=members)
    with pytest.raises(CheckFailed) as caught:
        inspected(wheel, wanted, *sources)
    assert str(caught.value) == f"{wheel.name}: {reason}"
    last = caught.value.findings[-1]
    assert (last.name, last.verdict, last.detail) == (check, Verdict.FAILED, reason)
    assert all(finding.verdict is not Verdict.FAILED for finding in caught.value.findings[:-1])


@pytest.mark.parametrize(
    ("tag", "wanted", "sources"),
    [
        ("py3-none-any", action(native=False), ["_spam.c"]),
        ("py3-none-any", replace(action(), native=False), []),
        (f"{TAG}-{LINUX}", action(native=False), ["_spam.c"]),
        (f"{TAG}-{LINUX}", action(), ["tests/_spam.c", "docs/x.cpp"]),
    ],
)
def test_a_wheel_without_machine_code_passes_where_none_is_due(
    tmp_path: Path, tag: str, wanted: Action, sources: Sequence[str]
) -> None:
    found = inspected(make_wheel(tmp_path, "spam", tag=tag), wanted, *sources)
    assert outcomes(found) == {
        "machine code": "passed",
        "processor": "skipped",
        "modules": "passed",
        "wheel": "passed",
        "abi3audit": "skipped",
        "auditwheel": "skipped",
    }


def test_the_bytes_are_those_that_the_worker_sent(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "spam")
    with pytest.raises(
        CheckFailed, match=r"^spam-1.0-py3-none-any.whl arrived with the sha256 [0-9a-f]{64}, the helper "
    ):
        inspect(wheel, "0" * 64, action(native=False), tmp_path, built_here=True)


# ── Linux ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_linux_wheel_needs_is_noted(tmp_path: Path, module: bytes) -> None:
    wheel = make_wheel(tmp_path, "spam", tag=f"{TAG}-{LINUX}", more={MODULE: module})
    found = inspected(wheel, action(), "_spam.c")
    assert found.path == wheel
    assert detail(found, "machine code") == "1 files of machine code"
    assert detail(found, "auditwheel") == (
        "consistent with manylinux_2_5_x86_64; needs no library besides those of every Linux"
    )
    assert found.seconds > 0


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A directory with a library of no system, and an extension module that needs it."""
    folder = tmp_path_factory.mktemp("linked")
    compile_library(folder, "libyolk", "int yolk(void) { return 1; }", options=["-Wl,-soname,libyolk.so"])
    options = [f"-L{folder}", "-lyolk"]
    return folder, compile_module(folder, declarations="int yolk(void);", statement="yolk()", options=options)


def repaired(folder: Path, linked: tuple[Path, bytes], *platforms: str) -> Inspected:
    wheel = make_wheel(folder, "spam", tag=f"{TAG}-{LINUX}", more={MODULE: linked[1]})
    return inspected(wheel, action(*platforms, env={"LD_LIBRARY_PATH": str(linked[0])}), "_spam.c")


def test_a_wheel_for_manylinux_is_repaired(tmp_path: Path, linked: tuple[Path, bytes]) -> None:
    found = repaired(tmp_path, linked, "manylinux_2_36_x86_64")

    assert found.path.name == f"spam-1.0-{TAG}-manylinux_2_36_x86_64.whl"
    library = next(member.path for member in found.contents.members if member.path.startswith("spam.libs/"))
    said = f"repaired for manylinux_2_36_x86_64: {library} was copied in; consistent with manylinux_2_5_x86_64"
    assert detail(found, "auditwheel") == said
    assert outcomes(found)["wheel"] == "passed"
    with zipfile.ZipFile(found.path) as archive:
        archive.extractall(tmp_path / "site")
    code = "import _spam; print(_spam.answer())"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": os.environ["PATH"]}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("42\n", "")


def test_equal_wheels_are_repaired_to_equal_bytes(tmp_path: Path, linked: tuple[Path, bytes]) -> None:
    first = repaired(tmp_path / "one", linked, "manylinux_2_36_x86_64")
    before = os.umask(0o077)
    try:
        second = repaired(tmp_path / "two", linked, "manylinux_2_36_x86_64")
    finally:
        os.umask(before)
    assert first.path.read_bytes() == second.path.read_bytes()


@pytest.mark.parametrize(
    ("platforms", "tags"),
    [
        (["manylinux_2_17_x86_64", "manylinux2014_x86_64"], "manylinux2014_x86_64.manylinux_2_17_x86_64"),
        (["manylinux_2_30_x86_64"], "manylinux_2_28_x86_64"),  # auditwheel knows no policy for 2.29 and 2.30
        (["manylinux_2_36_x86_64", "manylinux_2_28_x86_64"], "manylinux_2_28_x86_64"),
    ],
)
def test_the_oldest_platform_that_is_asked_for_counts(
    tmp_path: Path, module: bytes, platforms: list[str], tags: str
) -> None:
    wheel = make_wheel(tmp_path, "spam", tag=f"{TAG}-{LINUX}", more={MODULE: module})
    assert inspected(wheel, action(*platforms), "_spam.c").path.name == f"spam-1.0-{TAG}-{tags}.whl"


def test_a_wheel_that_auditwheel_cannot_repair_fails_with_its_reason(
    tmp_path: Path, module: bytes, linked: tuple[Path, bytes]
) -> None:
    recent = compile_module(tmp_path / "c", declarations="#include <pthread.h>", statement="pthread_key_create(0, 0)")
    tag = f"{TAG}-{LINUX}"
    cases = [
        (
            recent,
            "manylinux_2_17_x86_64",
            f'cannot repair "spam-1.0-{tag}.whl" to "manylinux_2_17_x86_64" ABI because of {TOO_NEW}',
        ),
        (
            linked[1],
            "manylinux_2_36_x86_64",
            'Cannot repair wheel, because required library "libyolk.so" could not be located',
        ),
        (
            module,
            "musllinux_1_2_x86_64",
            f"no machine code in it is for musllinux_1_2_x86_64 (ignoring: {MODULE} with glibc libc)",
        ),
        (module, "manylinux_2_4_x86_64", "auditwheel has no policy as old as manylinux_2_4_x86_64"),
    ]
    for number, (code, platform, reason) in enumerate(cases):
        wheel = make_wheel(tmp_path / str(number), "spam", tag=tag, more={MODULE: code})
        with pytest.raises(CheckFailed) as caught:
            inspected(wheel, action(platform), "_spam.c")
        assert str(caught.value) == f"{wheel.name}: cannot be made for {platform}: {reason}"
        assert caught.value.findings[-1].name == "auditwheel"


def test_libraries_of_this_machine_never_go_into_another_machines_wheel(
    tmp_path: Path, linked: tuple[Path, bytes]
) -> None:
    wheel = make_wheel(tmp_path, "spam", tag=f"{TAG}-{LINUX}", more={MODULE: linked[1]})
    wanted = action("manylinux_2_36_x86_64", env={"LD_LIBRARY_PATH": str(linked[0])})
    with pytest.raises(CheckFailed, match=r'required library "libyolk.so" could not be located$'):
        inspected(wheel, wanted, built_here=False)


def test_a_wheel_of_data_alone_gets_the_tags_of_its_manylinux_target(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "spam", tag=f"{TAG}-{LINUX}")
    found = inspected(wheel, action("manylinux_2_36_x86_64"))
    assert found.path.name == f"spam-1.0-{TAG}-manylinux_2_36_x86_64.whl"
    assert outcomes(found)["retag"] == "passed"


# ── The stable ABI ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("declarations", "statement", "problem"),
    [
        ("", "", None),
        (
            "int _PyLong_Sign(PyObject *);",
            "_PyLong_Sign(none)",
            "_spam.abi3.so uses _PyLong_Sign, which is not in the stable ABI",
        ),
        (
            "PyObject *PyType_GetName(PyTypeObject *);",
            "PyType_GetName(Py_TYPE(none))",
            "_spam.abi3.so uses PyType_GetName, which is in the stable ABI from 3.11 on, while the wheel is for 3.9",
        ),
    ],
)
def test_an_abi3_wheel_uses_the_stable_abi_alone(
    tmp_path: Path, declarations: str, statement: str, problem: str | None
) -> None:
    code = compile_module(tmp_path / "c", declarations=declarations, statement=statement)
    wheel = make_wheel(tmp_path, "spam", tag=f"cp39-abi3-{LINUX}", more={"_spam.abi3.so": code})
    wanted = action(python="cp311", abi="abi3")
    if problem is None:
        assert detail(inspected(wheel, wanted), "abi3audit") == (
            "every symbol is in the stable ABI of the wheel's interpreter tag"
        )
        return
    with pytest.raises(CheckFailed) as caught:
        inspected(wheel, wanted)
    assert str(caught.value) == f"{wheel.name}: {problem}"
    assert caught.value.findings[-1].name == "abi3audit"


# ── Several platform tags ─────────────────────────────────────────────────────────────────────────────────────────────

FREEBSD = ("freebsd_15_1_release_amd64", "freebsd_15_1_release_p2_amd64")


@pytest.mark.parametrize("platform", ["freebsd_15_1_release_amd64", "FreeBSD_15_1_RELEASE_p2_amd64"])
def test_a_wheel_for_one_platform_gets_all_tags_of_its_target(tmp_path: Path, platform: str) -> None:
    wheel = make_wheel(tmp_path, "spam", tag=f"cp311-cp311-{platform}", more={"_spam.cpython-311.so": elf(system=9)})
    wanted = action(*FREEBSD, python="cp311")

    found = inspected(wheel, wanted, "_spam.c")

    assert found.path.name == f"spam-1.0-cp311-cp311-{'.'.join(FREEBSD)}.whl"
    tags = [f"Tag: cp311-cp311-{each}" for each in FREEBSD]
    assert found.contents.wheel.decode().splitlines()[-2:] == tags
    assert detail(found, "retag") == f"{wheel.name} was given all platform tags of its target"
    other = tmp_path / "again"
    other.mkdir()
    again = inspected(wheel.rename(other / wheel.name), wanted, "_spam.c")
    assert again.path.read_bytes() == found.path.read_bytes()
    assert {m.path: m.sha256 for m in again.contents.members}["_spam.cpython-311.so"] == {
        m.path: m.sha256 for m in read_wheel(other / wheel.name).members
    }["_spam.cpython-311.so"]


def test_a_wheel_with_all_tags_in_another_order_and_case_stays_as_it_is(tmp_path: Path) -> None:
    tag = "cp311-cp311-FreeBSD_15_1_RELEASE_p2_amd64.FreeBSD_15_1_RELEASE_amd64"
    wheel = make_wheel(tmp_path, "spam", tag=tag, more={"_spam.cpython-311.so": elf(system=9)})
    assert inspected(wheel, action(*FREEBSD, python="cp311")).path == wheel


def test_a_wheel_for_a_platform_that_is_not_asked_for_gets_no_other_tags(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "spam", tag="cp311-cp311-freebsd_15_1_release_p3_amd64")
    with pytest.raises(CheckFailed, match=r": the wheel has tags cp311-cp311-freebsd_15_1_release_p3_amd64; expected "):
        inspected(wheel, action(*FREEBSD, python="cp311"))


def test_the_newest_member_dates_a_wheel(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "spam")
    assert newest_member(wheel) == 315532800  # 1980: the factory gives no times
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(zipfile.ZipInfo("late.py", (2001, 9, 9, 1, 46, 40)), "")
    assert newest_member(wheel) == 1_000_000_000
