"""auditwheel's ``repair`` for any platform tag; run as a program: it changes directories, and may print anything.

    python -P auditwheel_repair.py WHEEL FOLDER PLATFORM… [-- OPTION…]

Its own command line takes only tags of the machine that it runs on, and only those glibc versions that it has a policy
for. PEP 600 knows more, and what is repaired here may be another processor's. The wheel gets the oldest policy that
the platforms ask for; for a version in between, that is the newest that is not newer.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from typing import TYPE_CHECKING

from auditwheel import main_repair
from auditwheel.architecture import Architecture
from auditwheel.libc import Libc
from auditwheel.policy import WheelPolicies

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIBCS = {"manylinux": Libc.GLIBC, "musllinux": Libc.MUSL}
_PLATFORM = re.compile(r"(?P<libc>manylinux|musllinux)_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)")
_LEGACY = {"manylinux1": "manylinux_2_5", "manylinux2010": "manylinux_2_12", "manylinux2014": "manylinux_2_17"}


def policy_for(platform: str) -> str:
    """Return the name of the newest policy that is not newer than a platform tag. Raises ``ValueError``."""
    first, _, rest = platform.partition("_")
    match = _PLATFORM.fullmatch(f"{_LEGACY[first]}_{rest}" if first in _LEGACY else platform)
    if match is None:
        raise ValueError(f"{platform} is no manylinux or musllinux tag")
    wanted = int(match["major"]), int(match["minor"])
    policies = WheelPolicies(libc=_LIBCS[match["libc"]], arch=Architecture(match["arch"]))
    fit: list[tuple[tuple[int, int], str]] = []
    for policy in policies:
        found = _PLATFORM.fullmatch(policy.name)
        if found and (version := (int(found["major"]), int(found["minor"]))) <= wanted and version[0] == wanted[0]:
            fit.append((version, policy.name))
    if not fit:
        raise ValueError(f"auditwheel has no policy as old as {platform}")
    return max(fit)[1]


def oldest(platforms: Sequence[str]) -> str:
    """Return the policy that a wheel for all of the platforms needs. Raises ``ValueError``."""
    named = {platform: policy_for(platform) for platform in platforms}
    return min(named.values(), key=lambda name: [int(part) for part in re.findall(r"(?<=_)\d+(?=_)", name)])


class _Ignored(logging.Handler):
    """Keeps what auditwheel says that it ignores: where it finds nothing to repair, that is the reason."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line.startswith("ignoring: "):
            self.lines.append(line)


def main(argv: Sequence[str]) -> int:
    """Repair; return the exit code, 2 with the reason in the last line of standard error where that cannot be."""
    wheel, folder, *rest = argv
    split = rest.index("--") if "--" in rest else len(rest)
    parser = argparse.ArgumentParser("auditwheel")
    parser.add_argument("--verbose", default=0)
    commands = parser.add_subparsers()
    main_repair.configure_parser(commands)
    (repair,) = (action for action in commands.choices["repair"]._actions if action.dest == "PLAT")  # noqa: SLF001
    repair.choices = None
    said = _Ignored()
    logging.getLogger("auditwheel").addHandler(said)
    try:
        policy = oldest(rest[:split])
        command = ["repair", "--only-plat", f"--plat={policy}", f"--wheel-dir={folder}"]
        chosen = parser.parse_args([*command, *rest[split + 1 :], wheel])
        ended = int(chosen.func(chosen, parser))
    except (ValueError, RuntimeError, NotImplementedError) as error:
        print(error, file=sys.stderr)
        return 2
    if ended:
        print(f"no machine code in it is for {policy} ({'; '.join(said.lines)})", file=sys.stderr)
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
