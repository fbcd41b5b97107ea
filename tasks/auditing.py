"""The one door to auditwheel and abi3audit, which look at a wheel as programs of their own."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.process import Completed

TIMEOUT = 600.0
"""Seconds that a tool may look at a wheel."""
REPAIR = Path(__file__).with_name("auditwheel_repair.py")
_PREFIX = re.compile(r"^(?:[\w. ]+: )?error: |^(?:ERROR|WARNING|INFO|CRITICAL):[\w.]+:|^[\w.]+(?:Error|Exception): ")


class AuditFailed(Exception):
    """A tool refuses a wheel, or cannot look at it; the message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """What auditwheel says of a Linux wheel."""

    policy: str
    """The oldest platform tag that it is consistent with: ``manylinux_2_17_x86_64``, else ``linux_x86_64``."""
    libraries: tuple[str, ...]
    """Libraries that it needs and that no policy promises, sorted."""
    symbols: Mapping[str, tuple[str, ...]]
    """Versioned symbols that it takes from libraries of the system."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, without paths of this machine."""
        symbols = {library: list(versions) for library, versions in self.symbols.items()}
        return {"policy": self.policy, "libraries": list(self.libraries), "symbols": symbols}


def linkage(wheel: Path) -> Linkage:
    """Ask ``auditwheel show``. Raises :class:`AuditFailed`, as for a wheel without any ELF file."""
    ended = _run("auditwheel", ["-m", "auditwheel", "show", "--json", wheel.name], wheel)
    try:
        said = json.loads(ended.stdout)
        if "error" in said:
            raise AuditFailed(" ".join(str(said["error"]).split()))
        return Linkage(
            policy=str(said["overall_tag"]),
            libraries=tuple(sorted(map(str, said["external_libs"]))),
            symbols={str(name): tuple(map(str, found)) for name, found in sorted(said["versioned_symbols"].items())},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditFailed(_reason(ended, wheel)) from None


def repair(wheel: Path, platforms: Sequence[str], folder: Path, *, epoch: int, libraries: Sequence[str] | None) -> Path:
    """Have auditwheel make a wheel for manylinux or musllinux platforms, in ``folder``; return its path.

    Libraries that it needs are copied in, out of ``libraries`` (directories) besides those of the system; ``None``
    where the wheel was built on another machine, whose libraries are not here. Raises :class:`AuditFailed`.
    """
    folder.mkdir()
    options = ["--ldpaths="] if libraries is None else []
    argv = ["-P", str(REPAIR), wheel.name, str(folder.resolve()), *platforms, "--", *options]
    found = {"AUDITWHEEL_LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {}
    ended = _run("auditwheel", argv, wheel, SOURCE_DATE_EPOCH=str(epoch), **found)
    made = sorted(folder.glob("*.whl"))
    if ended.returncode or len(made) != 1:
        raise AuditFailed(_reason(ended, wheel))
    return made[0]


def stable_abi_violations(wheel: Path) -> tuple[str, ...]:
    """Ask abi3audit what in an abi3 wheel is not in the stable ABI of its interpreter tag; nothing is good.

    Raises :class:`AuditFailed`.
    """
    ended = _run("abi3audit", ["-m", "abi3audit", "--strict", "--report", wheel.name], wheel)
    try:
        (spec,) = json.loads(ended.stdout)["specs"].values()
        return tuple(sorted(line for module in spec["wheel"] for line in _violations(module)))
    except (ValueError, KeyError, TypeError, AttributeError):
        if "nothing auditable" in ended.stderr:
            return ()
        raise AuditFailed(_reason(ended, wheel)) from None


def _violations(module: Mapping[str, Any]) -> list[str]:
    result = module["result"]
    alien = [f"{module['name']} uses {symbol}, which is not in the stable ABI" for symbol in result["non_abi3_symbols"]]
    return alien + [
        f"{module['name']} uses {symbol}, which is in the stable ABI from {added} on, "
        f"while the wheel is for {result['baseline']}"
        for symbol, added in result["future_abi3_objects"].items()
    ]


def _run(tool: str, argv: Sequence[str], wheel: Path, **variables: str) -> Completed:
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env = {**kept, "PATH": path, "LC_ALL": "C.UTF-8", "COLUMNS": "1000", "NO_COLOR": "1", **variables}
    ended = process.run([sys.executable, *argv], env=env, cwd=wheel.parent, timeout=TIMEOUT)
    if ended.timed_out:
        raise AuditFailed(f"{tool} did not end within {TIMEOUT:.0f} s")
    return ended


def _reason(ended: Completed, wheel: Path) -> str:
    """Return the last line that a tool wrote, without paths of this machine and names of its classes."""
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    last = _PREFIX.sub("", lines[-1]) if lines else f"it ended with exit code {ended.returncode}, without a word"
    return last.replace(f"{wheel.parent.resolve()}{os.sep}", "")
