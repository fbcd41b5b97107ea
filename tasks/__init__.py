"""spare-tire: a wheel factory. One module per stage; see ``docs/`` for how they fit together."""

from __future__ import annotations

import gc
import sys
from types import TracebackType  # noqa: TC003 - `typing` takes longer, and nobody can interrupt well before this module

from tasks.core.errors import INTERRUPTION

gc.set_threshold(100_000)  # to look for garbage among what is imported takes a fifteenth of the time of a short stage


def _said(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of an interruption what :mod:`tasks.console` says of one, also while a stage is still imported."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"error: {INTERRUPTION}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _said
