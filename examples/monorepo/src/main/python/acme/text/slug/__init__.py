"""Names that a file or an address can have."""

import re
import unicodedata


def slug(text: str) -> str:
    """Return a text in lower-case ASCII, with ``-`` for what is neither letter nor digit."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
