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
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from tasks.core.index import ProjectPage
    from tasks.core.index_file import IndexFile
    from tasks.core.project_list import ProjectList

TEMPLATES = Path(__file__).parent.parent / "templates"


class Pages:
    """The renderer that publishing uses (``tasks.core.protocol.Renderer``)."""

    def project(self, page: ProjectPage) -> bytes:
        """Render a project's page (PEP 503, PEP 592, PEP 629, PEP 658, PEP 708, PEP 714, PEP 740, PEP 792)."""
        return _template("simple_project.html").render(page=page, link=_link).encode()

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


def _link(file: IndexFile, page: ProjectPage) -> Markup:
    """Return a file's anchor, with the data attributes that say something.

    Written here, since of a large index nearly all the time went into filters and escaped parts of a template.
    """
    said = [f'<a href="{escape(file.link)}#sha256={file.sha256}"']  # digests are hex digits wherever they come from
    if file.requires_python is not None:
        said.append(f'data-requires-python="{escape(file.requires_python)}"')
    if file.core_metadata is not None:
        digest = f'"sha256={file.core_metadata}"'
        said.append(f"data-core-metadata={digest} data-dist-info-metadata={digest}")  # PEP 714: as it once was read
    if file.yanked is not None:
        said.append(f'data-yanked="{escape(file.yanked)}"')
    provenance = file.provenance(page.settings.index_url)
    if provenance is not None:
        said.append(f'data-provenance="{escape(provenance)}"')
    return Markup(f"{' '.join(said)}>{escape(file.filename)}</a>")  # noqa: S704 - what is not ours is escaped
