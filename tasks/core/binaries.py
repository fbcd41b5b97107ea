"""Machine code: what the headers of ELF, Mach-O and PE files say about whom it is for. Bytes in, values out.

Field offsets are those of the ELF gABI (``e_ident``, ``e_machine``), of ``mach-o/loader.h`` and ``mach-o/fat.h``, and
of Microsoft's PE format. Processors are named as Linux names them (``uname -m``); all of 32-bit ARM is ``arm``, since
an ELF header does not tell ``armv6l`` from ``armv7l``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

HEAD = 4096
"""Bytes at the beginning of a file in which all that is read here lies, in files that linkers write."""


class Format(Enum):
    """A family of systems, by the format of its binaries."""

    ELF = "ELF"
    MACH_O = "Mach-O"
    PE = "PE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """What a file of machine code says of itself."""

    format: Format
    processors: tuple[str, ...]
    """One, or several in a universal Mach-O file; an unknown one as ``machine 190``."""
    system: str | None = None
    """The operating system, where the header tells: an ELF file for Linux mostly leaves it open."""


class BrokenBinary(ValueError):
    """The file begins like machine code and has no whole header."""


def read_binary(head: bytes) -> Binary | None:
    """Read the beginning of a file; ``None`` where it is no machine code. Raises :class:`BrokenBinary`."""
    try:
        if head.startswith(b"\x7fELF"):
            return _elf(head)
        if head[:4] in _MACH_O:
            return _mach_o(head)
        if head[:4] in _FAT:
            return _fat(head)
        if head.startswith(b"MZ"):
            return _pe(head)
    except struct.error:
        raise BrokenBinary("its header is cut off") from None
    return None


# ── ELF ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

_ORDER = {1: "<", 2: ">"}  # EI_DATA
_BITS = {1: 32, 2: 64}  # EI_CLASS
_ELF_SYSTEMS = {2: "netbsd", 3: "linux", 6: "solaris", 7: "aix", 9: "freebsd", 12: "openbsd"}  # EI_OSABI
_ELF_MACHINES: dict[tuple[int, int, str], str] = {  # (e_machine, bits, byte order)
    (3, 32, "<"): "i686",
    (8, 32, "<"): "mipsel",
    (8, 64, "<"): "mips64el",
    (20, 32, ">"): "ppc",
    (21, 64, "<"): "ppc64le",
    (21, 64, ">"): "ppc64",
    (22, 32, ">"): "s390",
    (22, 64, ">"): "s390x",
    (40, 32, "<"): "arm",
    (43, 64, ">"): "sparc64",
    (62, 32, "<"): "x32",
    (62, 64, "<"): "x86_64",
    (183, 64, "<"): "aarch64",
    (243, 32, "<"): "riscv32",
    (243, 64, "<"): "riscv64",
    (258, 64, "<"): "loongarch64",
}


def _elf(head: bytes) -> Binary:
    bits_code, order_code, _, system = struct.unpack_from("4B", head, 4)
    if bits_code not in _BITS or order_code not in _ORDER:
        raise BrokenBinary(f"its ELF header has class {bits_code} and data {order_code}, expected 1 or 2 each")
    order = _ORDER[order_code]
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    name = _ELF_MACHINES.get((machine, _BITS[bits_code], order), f"machine {machine}")
    return Binary(format=Format.ELF, processors=(name,), system=_ELF_SYSTEMS.get(system))


# ── Mach-O ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_MACH_O = {b"\xce\xfa\xed\xfe": "<", b"\xcf\xfa\xed\xfe": "<", b"\xfe\xed\xfa\xce": ">", b"\xfe\xed\xfa\xcf": ">"}
_FAT = {b"\xca\xfe\xba\xbe": 20, b"\xca\xfe\xba\xbf": 32}  # bytes of a fat_arch, of a fat_arch_64
_JAVA = 40  # a Java class begins as a fat file does; its version, from 45 up, stands where that has its number of parts
_CPU_TYPES = {
    7: "i686",
    0x0100_0007: "x86_64",
    12: "arm",
    0x0100_000C: "aarch64",
    0x0200_000C: "arm64_32",
    18: "ppc",
    0x0100_0012: "ppc64",
}


def _mach_o(head: bytes) -> Binary:
    (cpu,) = struct.unpack_from(f"{_MACH_O[head[:4]]}I", head, 4)
    return Binary(format=Format.MACH_O, processors=(_cpu(cpu),), system="macos")


def _fat(head: bytes) -> Binary | None:
    (parts,) = struct.unpack_from(">I", head, 4)
    if parts > _JAVA:
        return None
    if not parts:
        raise BrokenBinary("its universal Mach-O header lists no processor")
    size = _FAT[head[:4]]
    cpus = [struct.unpack_from(">I", head, 8 + size * number)[0] for number in range(parts)]
    return Binary(format=Format.MACH_O, processors=tuple(sorted({_cpu(cpu) for cpu in cpus})), system="macos")


def _cpu(number: int) -> str:
    return _CPU_TYPES.get(number, f"machine {number}")


# ── PE ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_PE_MACHINES = {0x14C: "i686", 0x8664: "x86_64", 0xAA64: "aarch64", 0x1C4: "arm"}


def _pe(head: bytes) -> Binary | None:
    if len(head) < 0x40:  # noqa: PLR2004 - a DOS header: text may begin with MZ too
        return None
    (offset,) = struct.unpack_from("<I", head, 0x3C)
    if head[offset : offset + 4] != b"PE\0\0":
        return None
    (machine,) = struct.unpack_from("<H", head, offset + 4)
    return Binary(format=Format.PE, processors=(_PE_MACHINES.get(machine, f"machine {machine}"),), system="windows")


# ── Platforms ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_ALIASES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "intel": "i686 x86_64",
    "powerpc64le": "ppc64le",
    "universal": "i686 ppc ppc64 x86_64",
    "universal2": "aarch64 x86_64",
    "win32": "i686",
}
_KNOWN = {*_ELF_MACHINES.values(), *_CPU_TYPES.values(), *_PE_MACHINES.values()}
_SYSTEMS = {
    "linux": (Format.ELF, "linux"),
    "manylinux": (Format.ELF, "linux"),
    "musllinux": (Format.ELF, "linux"),
    "macosx": (Format.MACH_O, "macos"),
    "win": (Format.PE, "windows"),
    "win32": (Format.PE, "windows"),
    "freebsd": (Format.ELF, "freebsd"),
    "netbsd": (Format.ELF, "netbsd"),
    "openbsd": (Format.ELF, "openbsd"),
    "solaris": (Format.ELF, "solaris"),
}


def binary_of(platform: str) -> Binary | None:
    """Return what machine code for a platform tag has to be; ``None`` for a platform that is not known here."""
    tag = platform.lower()
    system = _SYSTEMS.get(tag.split("_", 1)[0].rstrip("0123456789") if not tag.startswith("win") else tag[:3])
    names = [*_ALIASES, *_KNOWN]
    found = max((name for name in names if tag == name or tag.endswith(f"_{name}")), key=len, default=None)
    if system is None or found is None:
        return None
    processors = tuple(_ALIASES.get(found, found).split())
    return Binary(format=system[0], processors=processors, system=system[1])


def processor(machine: str) -> str:
    """Return a processor as Linux names it, of what ``uname -m`` or a matrix says: ``amd64`` is ``x86_64``."""
    return _ALIASES.get(machine.lower(), machine.lower())


def for_linux(platforms: tuple[str, ...]) -> bool:
    """Whether the platform tags are Linux's, whatever its C library."""
    return bool(platforms) and all(
        platform.lower().startswith(("linux_", "manylinux", "musllinux")) for platform in platforms
    )
