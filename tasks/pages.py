"""Renders the index's HTML from its states: PEP 503 pages for installers and one page for people.

Nothing but the states goes in, so equal states give equal bytes; each page ends with its state's serial, as the public
index's pages do, so that other states give other bytes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

if TYPE_CHECKING:
    from tasks.core.index import ProjectPage
    from tasks.core.index_file import IndexFile
    from tasks.core.project_list import ProjectList

TEMPLATES = Path(__file__).parent.parent / "templates"


class Pages:
    """The renderer that publishing uses (``tasks.core.protocol.Renderer``)."""

    def project(self, page: ProjectPage) -> bytes:
        """Render a project's page (PEP 503, PEP 592, PEP 629, PEP 658, PEP 708, PEP 714, PEP 740, PEP 792)."""
        return _template("simple_project.html").render(page=page, attributes=_attributes).encode()

    def projects(self, listed: ProjectList) -> bytes:
        """Render the list of projects (PEP 503)."""
        return _template("simple_list.html").render(listed=listed).encode()

    def home(self, listed: ProjectList) -> bytes:
        """Render the page for people: how to install, and what there is."""
        style = (TEMPLATES / "home.css").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        filled = _template("home.html").render(listed=listed, style=Markup(style), style_hash=f"sha256-{digest}")  # noqa: S704 our own file
        return filled.encode()


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


def _attributes(file: IndexFile, page: ProjectPage) -> dict[str, str]:
    """Return the link's data attributes; those that say nothing are left out."""
    attributes: dict[str, str] = {}
    if file.requires_python is not None:
        attributes["data-requires-python"] = file.requires_python
    if file.core_metadata is not None:
        attributes["data-core-metadata"] = f"sha256={file.core_metadata}"
        attributes["data-dist-info-metadata"] = f"sha256={file.core_metadata}"  # PEP 714: as installers once read it
    if file.yanked is not None:
        attributes["data-yanked"] = file.yanked
    provenance = file.provenance(page.settings.index_url)
    if provenance is not None:
        attributes["data-provenance"] = provenance
    return attributes
