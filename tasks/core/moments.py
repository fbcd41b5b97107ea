"""The one moment that counts: now, or the one that ``SOURCE_DATE_EPOCH`` fixes (reproducible-builds.org)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping


def fixed_moment(environ: Mapping[str, str]) -> datetime | None:
    """Return the moment that the environment fixes, in UTC, if any. Raises :class:`BadInput` for what is none."""
    epoch = environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadInput(f"SOURCE_DATE_EPOCH is {epoch!r}, expected seconds since 1970") from error
