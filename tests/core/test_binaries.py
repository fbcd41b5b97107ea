from __future__ import annotations

import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.binaries import HEAD, Binary, BrokenBinary, Format, binary_of, for_linux, read_binary
from tests.binaries import elf, fat, mach_o, pe

X86_64, ARM64 = 0x0100_0007, 0x0100_000C


@pytest.mark.parametrize(
    ("head", "form", "processors", "system"),
    [
        (elf(62), Format.ELF, ["x86_64"], None),
        (elf(62, system=3), Format.ELF, ["x86_64"], "linux"),
        (elf(62, system=9), Format.ELF, ["x86_64"], "freebsd"),
        (elf(62, system=12), Format.ELF, ["x86_64"], "openbsd"),
        (elf(62, bits=32), Format.ELF, ["x32"], None),
        (elf(3, bits=32), Format.ELF, ["i686"], None),
        (elf(40, bits=32), Format.ELF, ["arm"], None),
        (elf(183), Format.ELF, ["aarch64"], None),
        (elf(21), Format.ELF, ["ppc64le"], None),
        (elf(21, order=">"), Format.ELF, ["ppc64"], None),
        (elf(22, order=">"), Format.ELF, ["s390x"], None),
        (elf(243), Format.ELF, ["riscv64"], None),
        (elf(243, bits=32), Format.ELF, ["riscv32"], None),
        (elf(258), Format.ELF, ["loongarch64"], None),
        (elf(183, order=">"), Format.ELF, ["machine 183"], None),
        (elf(4711), Format.ELF, ["machine 4711"], None),
        (mach_o(ARM64), Format.MACH_O, ["aarch64"], "macos"),
        (mach_o(X86_64), Format.MACH_O, ["x86_64"], "macos"),
        (mach_o(7, bits=32), Format.MACH_O, ["i686"], "macos"),
        (mach_o(18, bits=32, order=">"), Format.MACH_O, ["ppc"], "macos"),
        (mach_o(99), Format.MACH_O, ["machine 99"], "macos"),
        (fat(X86_64, ARM64), Format.MACH_O, ["aarch64", "x86_64"], "macos"),
        (fat(ARM64, X86_64, bits=64), Format.MACH_O, ["aarch64", "x86_64"], "macos"),
        (pe(0x8664), Format.PE, ["x86_64"], "windows"),
        (pe(0xAA64), Format.PE, ["aarch64"], "windows"),
        (pe(0x14C), Format.PE, ["i686"], "windows"),
    ],
)
def test_a_header_says_whom_machine_code_is_for(
    head: bytes, form: Format, processors: list[str], system: str | None
) -> None:
    assert read_binary(head) == Binary(format=form, processors=tuple(processors), system=system)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x7fEL",
        b"import this\n",
        b"MZ is how this text begins",
        b"MZ" + b"such a text may go on for long, and a word of it stands where an offset would" * 2,
        b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(64),  # a Java class of version 52
    ],
)
def test_what_is_no_machine_code_is_none(head: bytes) -> None:
    assert read_binary(head) is None


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (elf()[:7], "its header is cut off"),
        (elf()[:19], "its header is cut off"),
        (mach_o()[:6], "its header is cut off"),
        (fat(X86_64, ARM64)[:40][:20], "its header is cut off"),
        (pe()[:68], "its header is cut off"),
        (fat(), "its universal Mach-O header lists no processor"),
        (b"\x7fELF\x07\x01" + bytes(60), "its ELF header has class 7 and data 1, expected 1 or 2 each"),
    ],
)
def test_a_broken_header_is_said(head: bytes, reason: str) -> None:
    with pytest.raises(BrokenBinary, match=f"^{reason}$"):
        read_binary(head)


MAGIC = [b"", b"\x7fELF", b"\x7fELF\x02\x01", b"MZ", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf\0\0\0", *(mach_o()[:4],)]


@given(st.sampled_from([*MAGIC, elf(), fat(X86_64, ARM64), pe()]), st.binary(max_size=200), st.integers(0, 120))
def test_whatever_the_bytes_there_is_an_answer(begin: bytes, rest: bytes, cut: int) -> None:
    data = begin[:cut] + rest
    with suppress(BrokenBinary):
        found = read_binary(data)
        assert found is None or found.processors


def test_this_interpreter_is_for_this_machine() -> None:
    found = read_binary(Path(sys.executable).read_bytes()[:HEAD])
    wanted = binary_of(sysconfig.get_platform().replace("-", "_").replace(".", "_"))
    assert found is not None
    assert wanted is not None
    assert (found.format, {*found.processors} >= {*wanted.processors}) == (wanted.format, True)


@pytest.mark.parametrize(
    ("platform", "form", "processors", "system"),
    [
        ("linux_x86_64", Format.ELF, "x86_64", "linux"),
        ("manylinux_2_17_aarch64", Format.ELF, "aarch64", "linux"),
        ("manylinux2014_ppc64le", Format.ELF, "ppc64le", "linux"),
        ("manylinux1_i686", Format.ELF, "i686", "linux"),
        ("musllinux_1_2_armv7l", Format.ELF, "arm", "linux"),
        ("linux_armv6l", Format.ELF, "arm", "linux"),
        ("linux_s390x", Format.ELF, "s390x", "linux"),
        ("linux_riscv64", Format.ELF, "riscv64", "linux"),
        ("freebsd_15_1_release_amd64", Format.ELF, "x86_64", "freebsd"),
        ("FreeBSD_15_1_RELEASE_p2_arm64", Format.ELF, "aarch64", "freebsd"),
        ("openbsd_7_6_amd64", Format.ELF, "x86_64", "openbsd"),
        ("macosx_11_0_arm64", Format.MACH_O, "aarch64", "macos"),
        ("macosx_11_0_universal2", Format.MACH_O, "aarch64 x86_64", "macos"),
        ("win_amd64", Format.PE, "x86_64", "windows"),
        ("win32", Format.PE, "i686", "windows"),
    ],
)
def test_a_platform_tag_says_what_machine_code_has_to_be(
    platform: str, form: Format, processors: str, system: str
) -> None:
    assert binary_of(platform) == Binary(format=form, processors=tuple(processors.split()), system=system)


@pytest.mark.parametrize("platform", ["any", "linux_m68k", "haiku_1_x86_64", "x86_64", ""])
def test_a_platform_that_is_not_known_says_nothing(platform: str) -> None:
    assert binary_of(platform) is None


def test_linux_is_told_from_others_by_the_tags() -> None:
    assert for_linux(("manylinux_2_17_x86_64", "linux_x86_64"))
    assert for_linux(("musllinux_1_2_x86_64",))
    assert not for_linux(("linux_x86_64", "freebsd_15_1_release_amd64"))
    assert not for_linux(())
