"""Every check that needs no more than what was read of a wheel, with inputs that fail it."""

from __future__ import annotations

import pytest

from tasks.core.binaries import read_binary
from tasks.core.checks import Finding, Verdict, foreign, misplaced, mistagged, should_be_binary
from tasks.core.wheels import Member, WheelContents
from tests.binaries import elf, fat, mach_o, pe

LINUX = "linux_x86_64"
CP311 = f"spam-1.0-cp311-cp311-{LINUX}.whl"


def wheel(*members: str | tuple[str, bytes], name: str = CP311) -> WheelContents:
    """Return a wheel of these members: a path alone is text, with a header machine code."""
    given = [(each, b"") if isinstance(each, str) else each for each in members]
    return WheelContents(
        filename=name,
        sha256="0" * 64,
        size=1,
        members=tuple(Member(path=path, size=1, sha256="0" * 64, binary=read_binary(head)) for path, head in given),
        dist_info="spam-1.0.dist-info",
        metadata=b"",
        wheel=b"",
        record=b"",
    )


MODULE = "_spam.cpython-311-x86_64-linux-gnu.so"


@pytest.mark.parametrize(
    ("member", "platforms", "problem"),
    [
        ((MODULE, elf(62)), [LINUX], None),
        ((MODULE, elf(62, system=3)), ["manylinux_2_17_x86_64"], None),
        ((MODULE, elf(183)), [LINUX], "is for aarch64, the target is x86_64"),
        ((MODULE, elf(40, bits=32)), ["linux_aarch64"], "is for arm, the target is aarch64"),
        ((MODULE, elf(40, bits=32)), ["linux_armv7l"], None),
        ((MODULE, elf(3, bits=32)), [LINUX], "is for i686, the target is x86_64"),
        ((MODULE, elf(62)), ["manylinux2014_i686"], "is for x86_64, the target is i686"),
        ((MODULE, elf(21, order=">")), ["linux_ppc64le"], "is for ppc64, the target is ppc64le"),
        ((MODULE, elf(22, order=">")), [LINUX], "is for s390x, the target is x86_64"),
        ((MODULE, elf(62)), ["linux_riscv64"], "is for x86_64, the target is riscv64"),
        ((MODULE, elf(4711)), [LINUX], "is for machine 4711, the target is x86_64"),
        ((MODULE, elf(62, system=9)), [LINUX], "is for FreeBSD, the target is Linux"),
        ((MODULE, elf(62, system=3)), ["freebsd_15_1_release_amd64"], "is for Linux, the target is FreeBSD"),
        ((MODULE, elf(62, system=9)), ["freebsd_15_1_release_amd64", "freebsd_15_1_release_p2_amd64"], None),
        ((MODULE, mach_o()), [LINUX], "has the format Mach-O, the target's is ELF"),
        ((MODULE, elf(62)), ["macosx_11_0_x86_64"], "has the format ELF, the target's is Mach-O"),
        (("_spam.pyd", pe()), [LINUX], "has the format PE, the target's is ELF"),
        (("_spam.pyd", pe()), ["win_amd64"], None),
        (("libspam.dylib", fat(0x0100_0007, 0x0100_000C)), ["macosx_11_0_universal2"], None),
        (("libspam.dylib", fat(0x0100_0007, 0x0100_000C)), ["macosx_11_0_arm64"], None),
        (
            ("libspam.dylib", mach_o(0x0100_0007)),
            ["macosx_11_0_universal2"],
            "is for x86_64, the target is aarch64 and x86_64",
        ),
        (("spam.libs/libz.so.1.2.13", elf(183)), [LINUX], "is for aarch64, the target is x86_64"),
        (("spam-1.0.data/scripts/spam", elf(183)), [LINUX], "is for aarch64, the target is x86_64"),
        (("spam-1.0.data/scripts/spam", b"#!python"), [LINUX], None),
        (("spam/tests/sample.bin", elf(183)), [LINUX], None),
        (("spam/launcher.exe", pe()), [LINUX], None),
        ((MODULE, b"text"), [LINUX], "is named like machine code, but is no ELF, Mach-O or PE file"),
        ((MODULE, elf(183)), ["haiku_1_m68k"], None),
    ],
)
def test_machine_code_is_for_the_target(member: tuple[str, bytes], platforms: list[str], problem: str | None) -> None:
    assert list(foreign(wheel(member), platforms)) == ([f"{member[0]} {problem}"] if problem else [])


def test_a_header_that_cannot_be_read_is_said() -> None:
    broken = Member(path=MODULE, size=1, sha256="0" * 64, broken="its header is cut off")
    contents = wheel()
    found = WheelContents(**{name: getattr(contents, name) for name in contents.__slots__} | {"members": (broken,)})
    assert list(foreign(found, [LINUX])) == [f"{MODULE}: its header is cut off"]


@pytest.mark.parametrize(
    ("name", "module", "problem"),
    [
        (CP311, MODULE, None),
        (CP311, "_spam.cpython-311.so", None),
        (CP311, "_spam.so", None),
        (CP311, "_spam.abi3.so", None),
        (CP311, "spam/data.cpython-312.pyc", None),
        (CP311, "_spam.cpython-312-x86_64-linux-gnu.so", "is for cp312 alone, the wheel is for cp311"),
        (CP311, "_spam.cpython-311t-x86_64-linux-gnu.so", "is for cp311t alone, the wheel is for cp311"),
        (CP311, "_spam.cp312-win_amd64.pyd", "is for cp312 alone, the wheel is for cp311"),
        (CP311, "_spam.pypy311-pp73-x86_64-linux-gnu.so", "is for pypy311 alone, the wheel is for cp311"),
        (f"spam-1.0-cp313-cp313t-{LINUX}.whl", "_spam.cpython-313t-x86_64-linux-gnu.so", None),
        (
            f"spam-1.0-cp313-cp313t-{LINUX}.whl",
            "_spam.cpython-313-x86_64-linux-gnu.so",
            "is for cp313 alone, the wheel is for cp313t",
        ),
        (f"spam-1.0-cp39-abi3-{LINUX}.whl", "_spam.abi3.so", None),
        (f"spam-1.0-cp39-abi3-{LINUX}.whl", "_spam.so", None),
        (
            f"spam-1.0-cp39-abi3-{LINUX}.whl",
            "_spam.cpython-39-x86_64-linux-gnu.so",
            "is for cp39 alone, the wheel is for cp39 and later, by the stable ABI",
        ),
        (f"spam-1.0-py3-none-{LINUX}.whl", "libspam.so", None),
        (
            f"spam-1.0-py3-none-{LINUX}.whl",
            MODULE,
            "is for cp311 alone, the wheel is for py3, whatever the interpreter",
        ),
    ],
)
def test_modules_are_for_the_interpreters_of_the_wheel(name: str, module: str, problem: str | None) -> None:
    assert list(mistagged(wheel(module, name=name))) == ([f"{module} {problem}"] if problem else [])


HINT = "; if pure Python is meant, give the package `build: {native: false}` in the matrix"


@pytest.mark.parametrize(
    ("native", "source", "problem"),
    [
        (None, None, None),
        (
            None,
            "src/_spam.c (C)",
            f"the wheel holds no machine code, but the sdist has src/_spam.c (C): the log says what became of it{HINT}",
        ),
        (False, "src/_spam.c (C)", None),
        (True, None, "the wheel holds no machine code, and the matrix says `native: true`"),
    ],
)
def test_a_wheel_that_turned_pure_in_silence_fails(
    native: bool | None,  # noqa: FBT001 - as the matrix says it
    source: str | None,
    problem: str | None,
) -> None:
    pure = wheel("spam/__init__.py", ("spam/tests/sample.bin", elf()), ("spam/launcher.exe", pe()))
    assert list(should_be_binary(pure, native=native, source=source)) == ([problem] if problem else [])


@pytest.mark.parametrize("path", [MODULE, "spam/libspam.so.1", "spam-1.0.data/scripts/spam", "_spam.pyd"])
def test_a_library_or_a_program_is_machine_code(path: str) -> None:
    assert list(should_be_binary(wheel((path, elf())), native=True, source="x.c (C)")) == []


def test_a_wheel_for_every_platform_holds_no_machine_code() -> None:
    assert list(misplaced(wheel((MODULE, elf()), name="spam-1.0-py3-none-any.whl"))) == [
        f"{MODULE} is machine code, in a wheel for every platform"
    ]
    assert list(misplaced(wheel((MODULE, elf())))) == []


def test_a_finding_is_plain_data_in_a_record() -> None:
    finding = Finding(name="processor", verdict=Verdict.SKIPPED, detail="nothing")
    assert finding.to_dict() == {"name": "processor", "outcome": "skipped", "detail": "nothing"}
    told = Finding(name="auditwheel", verdict=Verdict.PASSED, detail="fine", data={"policy": "linux_x86_64"})
    assert told.to_dict()["data"] == {"policy": "linux_x86_64"}
