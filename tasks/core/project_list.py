"""The list of an index's projects, in its JSON form (PEP 691)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import NormalizedName, canonicalize_name

from tasks.core.index import API_VERSION, LIST_PATH, api_version_of
from tasks.core.simple_json import At, canonical, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tasks.core.index import ProjectPage


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProject:
    """One project in the project list."""

    name: NormalizedName
    serial: int = 0
    """The serial of the page that is known to be complete; a page with a higher one is unfinished."""
    newest: str | None = None
    """The newest version, for people: the private key ``_version``."""
    settings: str | None = None
    """The digest of the page's settings, None where it has none: the private key ``_settings``."""
    state: str | None = None
    """The digest of that page (:attr:`ProjectPage.digest`), the private key ``_state``: with the serial it tells a
    reader who has the page already that it need not be read again, even of an index that was made anew."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, page: ProjectPage) -> Self:
        """Return a project as the list has it once its page is complete."""
        return cls(
            name=page.name,
            serial=page.serial,
            newest=page.newest,
            settings=page.settings.digest,
            state=page.digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectList:
    """Every project of the index, sorted by name (PEP 691)."""

    serial: int = 0
    projects: tuple[ListedProject, ...] = ()
    api_version: str = API_VERSION
    meta_extra: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes, where: str = LIST_PATH) -> Self:
        """Parse the list. Raises :class:`ServiceFailed` that names ``where``, the key path and what was found."""
        at = At(where)
        rest = dict(at.expect(parse(data, at), dict, "an object"))
        meta = dict(at.take(rest, "meta", dict, "an object"))
        projects = at.take(rest, "projects", list, "an array")
        return cls(
            serial=at.key("meta").take_optional(meta, "_last-serial", int, "a whole number") or 0,
            projects=tuple(_listed(project, at.key("projects").key(i)) for i, project in enumerate(projects)),
            api_version=api_version_of(meta, at),
            meta_extra=meta,
            extra=rest,
        )

    def to_json(self) -> bytes:
        """Return the list's bytes: equal lists give equal bytes."""
        return canonical(
            {
                **self.extra,
                "meta": {**self.meta_extra, "api-version": self.api_version, "_last-serial": self.serial},
                "projects": [_listed_to_dict(project) for project in sorted(self.projects, key=lambda p: p.name)],
            }
        )

    def serial_of(self, project: NormalizedName) -> int:
        """Return the serial that the list has for a project; 0 where it does not list it."""
        return next((listed.serial for listed in self.projects if listed.name == project), 0)

    def merged(self, pages: Iterable[ProjectPage]) -> Self:
        """Return the list with the pages' serials, where they are higher; the list itself when none is."""
        return self.with_projects(map(ListedProject.of, pages))

    def with_projects(self, projects: Iterable[ListedProject]) -> Self:
        """Return the list with these projects, where their serials are higher; the list itself when none is."""
        known = {listed.name: listed for listed in self.projects}
        for project in projects:
            listed = known.get(project.name)
            if listed is None or project.serial > listed.serial:
                known[project.name] = replace(project, extra=listed.extra if listed else project.extra)
        merged = tuple(known[name] for name in sorted(known))
        if merged == tuple(sorted(self.projects, key=lambda listed: listed.name)):
            return self
        return replace(self, serial=self.serial + 1, projects=merged)

    def saying(self, meta: Mapping[str, Any]) -> Self:
        """Return the list with these keys in its ``meta`` besides."""
        return replace(self, meta_extra={**self.meta_extra, **meta})


def _listed(value: object, at: At) -> ListedProject:
    rest = dict(at.expect(value, dict, "an object"))
    return ListedProject(
        name=canonicalize_name(at.take(rest, "name", str, "a string")),
        serial=at.take_optional(rest, "_last-serial", int, "a whole number") or 0,
        newest=at.take_optional(rest, "_version", str, "a string"),
        settings=at.take_optional(rest, "_settings", str, "a string"),
        state=at.take_optional(rest, "_state", str, "a string"),
        extra=rest,
    )


def _listed_to_dict(listed: ListedProject) -> dict[str, Any]:
    made = {**listed.extra, "name": listed.name, "_last-serial": listed.serial}
    optional = {"_version": listed.newest, "_settings": listed.settings, "_state": listed.state}
    return made | {key: value for key, value in optional.items() if value is not None}
