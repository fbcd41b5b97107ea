"""Every error a user can meet. Each message says what was found, what was expected and what to do."""

from __future__ import annotations


class SpareTireError(Exception):
    """Base of all errors that end a stage; ``messages`` are printed one a line, without a traceback."""

    exit_code = 1

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


class Failed(SpareTireError):
    """Some builds or checks failed; what succeeded is kept."""

    exit_code = 1


class BadInput(SpareTireError):
    """The command line, the matrix, a plan or a setting is wrong."""

    exit_code = 2


class ServiceFailed(SpareTireError):
    """An outside service failed or was not reachable."""

    exit_code = 3


class Unreadable(ServiceFailed):
    """One object cannot be read, as where access to it is denied, although its store answers: others may be read."""


class Refused(SpareTireError):
    """Going on would break a safety rule."""

    exit_code = 4


FAULT = 70
"""The exit code of a fault of ours: EX_SOFTWARE of <sysexits.h>, so that it is not taken for a partial success."""
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
INTERRUPTION = "interrupted; run the same command again to go on"
