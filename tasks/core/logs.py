"""What a build prints is data: nothing of it may command a terminal or the CI that shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core.addresses import without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# ECMA-48: CSI sequences; OSC, DCS, SOS, PM and APC strings up to their terminator or the line's end; other escapes.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 and C1 controls but the tab, what some readers take for a line's end, and what turns the direction of writing.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
_COMMAND = re.compile(r"#(?=#\w*\[)|:(?=:)")


@dataclass(frozen=True, slots=True)
class Folding:
    """How a CI is told where a foldable group of lines begins and ends."""

    begin: str
    end: str


FOLDINGS: Mapping[str, Folding] = {
    "TF_BUILD": Folding("##[group]", "##[endgroup]"),  # Azure Pipelines
    "GITHUB_ACTIONS": Folding("::group::", "::endgroup::"),
}
"""By the variable that says that a program runs on that CI."""


def folding(environ: Mapping[str, str]) -> Folding | None:
    """Return how the CI that this runs on folds lines; ``None`` where there is no such CI."""
    return next((found for variable, found in FOLDINGS.items() if environ.get(variable)), None)


def plain(line: str) -> str:
    """Return a line without terminal control sequences and control characters; tabs stay."""
    return _UNENCODABLE.sub("\ufffd", _CONTROL.sub("", _SEQUENCE.sub("", line)))


def harmless(line: str) -> str:
    """Return a plain line in which no CI finds a command: ``##vso[``, ``##[`` and ``::`` are pulled apart, wherever.

    The runners look for them at the beginning of a line, after blanks, or anywhere, depending on their version.
    """
    return _COMMAND.sub(lambda match: f"{match[0]} ", plain(line))


def message(text: str, environ: Mapping[str, str]) -> str:
    """Return a message of ours that commands nothing and shows no credentials, whatever it quotes."""
    clean = harmless if folding(environ) else plain
    return "\n".join(clean(line) for line in without_credentials(text).splitlines())


def group(how: Folding, title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of one folded group."""
    yield f"{how.begin}{harmless(title)}"
    for line in lines:
        yield harmless(line)
    yield how.end
