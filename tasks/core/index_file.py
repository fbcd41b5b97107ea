"""One file of a project's page, in its JSON form (PEP 691, PEP 700)."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from packaging.utils import InvalidSdistFilename, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.simple_json import At

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
"""What a URL has as it is (RFC 3986)."""
_TAGS = 3  # of a wheel's name: interpreter, ABI, platform


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a project page."""

    filename: str
    sha256: str
    """64 hex digits."""
    size: int | None = None
    """In bytes. PEP 700: "This field is mandatory"; pages of other tools may lack it all the same."""
    upload_time: str | None = None
    """PEP 700: "a valid ISO 8601 date/time string, in the format ``yyyy-mm-ddThh:mm:ss.ffffffZ``", UTC."""
    requires_python: str | None = None
    core_metadata: str | None = None
    """The sha256 of ``<file>.metadata``, 64 hex digits (PEP 658, named as PEP 714 has it); None: not served."""
    attested: bool = False
    """Whether ``<file>.provenance`` is there (PEP 740): the private key ``_provenance``."""
    yanked: str | None = None
    """None: not yanked. Else the reason, which may be empty (PEP 592)."""
    recipe: str | None = None
    """The recipe key of the action that built it, where it is known: the private key ``_recipe``."""
    url: str = ""
    """PEP 691: "may be absolute or relative"; empty: the wheel in ``packages/``."""
    other_hashes: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """The file's URL, relative to its project's page."""
        return self.url or _link(self.filename)

    @property
    def wheel(self) -> WheelName | None:
        """The file's name, parsed; None for what is no wheel."""
        try:
            return WheelName.parse(self.filename)
        except ValueError:
            return None

    @property
    def version(self) -> Version | None:
        """The version in the file's name; None where the name has none."""
        return _version_of(self.filename)

    def provenance(self, index_url: str | None) -> str | None:
        """Return the URL of the file's attestations, None where there are none.

        PEP 740: "MUST be a fully qualified URL", so there is none on a page that is not told where the index is.
        """
        return f"{index_url}packages/{quote(self.filename)}.provenance" if index_url and self.attested else None

    def to_dict(self, index_url: str | None = None) -> dict[str, Any]:
        """Return the file as PEP 691 writes it; optional keys only where they say something."""
        made: dict[str, Any] = {
            **self.extra,
            "filename": self.filename,
            "url": self.link,
            "hashes": {**self.other_hashes, "sha256": self.sha256},
        }
        optional = {
            "size": self.size,
            "upload-time": self.upload_time,
            "requires-python": self.requires_python,
            "core-metadata": None if self.core_metadata is None else {"sha256": self.core_metadata},
            # PEP 691: "a boolean … or an arbitrary, non-empty, string": a yank without a reason is the boolean.
            "yanked": None if self.yanked is None else (self.yanked or True),
            "provenance": self.provenance(index_url),
            "_provenance": self.attested or None,
            "_recipe": self.recipe,
        }
        made.update({key: value for key, value in optional.items() if value is not None})
        return made

    def filled_in(self, offered: IndexFile) -> IndexFile:
        """Return the file with what was not known of it, if the offered one has the same bytes; its yank stays."""
        if self.sha256 != offered.sha256:
            return self
        return replace(
            self,
            size=self.size if self.size is not None else offered.size,
            upload_time=self.upload_time or offered.upload_time,
            requires_python=self.requires_python or offered.requires_python,
            core_metadata=self.core_metadata or offered.core_metadata,
            attested=self.attested or offered.attested,
            recipe=self.recipe or offered.recipe,
        )

    @classmethod
    def from_dict(cls, value: object, at: At) -> Self:
        """Read a file of a PEP 691 page; unknown keys are kept in ``extra``."""
        rest = dict(at.expect(value, dict, "an object"))
        filename = at.take(rest, "filename", str, "a string")
        hashes = dict(at.take(rest, "hashes", dict, "an object"))
        sha256 = hashes.pop("sha256", None)
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise at.key("hashes").key("sha256").wrong(sha256, "64 hex digits")
        url = at.take(rest, "url", str, "a string")
        yanked = rest.pop("yanked", False)
        attested = rest.pop("_provenance", False) is True
        if attested:
            rest.pop("provenance", None)
        return cls(
            filename=filename,
            sha256=sha256,
            size=at.take_optional(rest, "size", int, "a whole number"),
            upload_time=at.take_optional(rest, "upload-time", str, "a string"),
            requires_python=at.take_optional(rest, "requires-python", str, "a string"),
            core_metadata=_core_metadata(rest),
            yanked=yanked if isinstance(yanked, str) else ("" if yanked else None),
            attested=attested,
            recipe=at.take_optional(rest, "_recipe", str, "a string"),
            url="" if url == _link(filename) else url,
            other_hashes=hashes,
            extra=rest,
        )


def _core_metadata(rest: dict[str, Any]) -> str | None:
    """PEP 714: read ``core-metadata``, and the earlier ``dist-info-metadata`` only where that is missing."""
    earlier = rest.pop("dist-info-metadata", None)
    value = rest.pop("core-metadata", earlier)
    found = value.get("sha256") if isinstance(value, dict) else None
    return found if isinstance(found, str) and _SHA256.fullmatch(found) else None


def _link(filename: str) -> str:
    """Return a file's URL relative to its project's page; few names have anything to quote, and looking is slow."""
    return f"../../packages/{filename if _PLAIN.fullmatch(filename) else quote(filename)}"


def _version_of(filename: str) -> Version | None:
    """Return the version in a file's name.

    A wheel's name is one exactly where what is before its tags is, and its tags are: pages have each of them often.
    """
    if filename.endswith(".whl"):
        before, *tags = filename.rsplit("-", _TAGS)
        found = _parsed_version(f"{before}-py3-none-any.whl")
        return found if _parsed_version(f"x-0-{'-'.join(tags)}") is not None else None
    return _parsed_version(filename)


@functools.lru_cache(maxsize=1 << 10)
def _parsed_version(filename: str) -> Version | None:
    try:
        return WheelName.parse(filename).version
    except ValueError:
        pass
    try:
        return parse_sdist_filename(filename)[1]
    except (InvalidSdistFilename, InvalidVersion):
        return None
