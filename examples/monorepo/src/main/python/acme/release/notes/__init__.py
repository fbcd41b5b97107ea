"""Release notes from a template."""

from collections.abc import Iterable
from importlib.resources import files
from string import Template

from acme.text.slug import slug


def notes(product: str, version: str, changes: Iterable[str]) -> str:
    """Return a product's release notes in Markdown."""
    template = Template(files(__package__).joinpath("templates/notes.md").read_text(encoding="utf-8"))
    lines = "\n".join(f"- {change}" for change in changes)
    return template.substitute(
        product=product, version=version, anchor=f"{slug(product)}-{slug(version)}", changes=lines
    )
