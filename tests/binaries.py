"""Headers of machine code, made by hand: what a file for another platform begins with."""

from __future__ import annotations

import struct


def elf(machine: int = 62, *, bits: int = 64, order: str = "<", system: int = 0) -> bytes:
    """Return the ELF header of a shared library; ``system`` is EI_OSABI."""
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1, system]) + bytes(8)
    return ident + struct.pack(f"{order}HHI", 3, machine, 1) + bytes(40)


def mach_o(cpu: int = 0x0100_000C, *, bits: int = 64, order: str = "<") -> bytes:
    """Return the header of a Mach-O bundle."""
    return struct.pack(f"{order}8I", 0xFEEDFACF if bits == 64 else 0xFEEDFACE, cpu, 0, 8, 0, 0, 0, 0)


def fat(*cpus: int, bits: int = 32) -> bytes:
    """Return the header of a universal Mach-O file; ``bits`` are those of its offsets."""
    magic, entry = (0xCAFEBABE, ">I16x") if bits == 32 else (0xCAFEBABF, ">I28x")
    return struct.pack(">2I", magic, len(cpus)) + b"".join(struct.pack(entry, cpu) for cpu in cpus)


def pe(machine: int = 0x8664) -> bytes:
    """Return the headers of a Windows library."""
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(18)
