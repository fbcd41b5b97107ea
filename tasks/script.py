"""The door to ansible-core, which renders the script that a build host runs.

ansible-core evaluates what is marked as a template, and only that: the files of ``templates/`` are marked, a value
never is, and stays the text that it was. Undefined names are errors; a template puts ``| quote`` behind every value.

Importing ansible-core takes most of a second, so it waits until there is something to render.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
BUILD_HOST = "build_host.sh.j2"

_lock = threading.Lock()


class UnfitTemplate(Exception):
    """A template of ours cannot be rendered with these values; the message says why."""


def render(name: str, values: Mapping[str, Any], *, templates: Path = TEMPLATES) -> str:
    """Render ``templates/<name>`` with values of JSON's types; raises :class:`UnfitTemplate`."""
    text = (templates / name).read_text(encoding="utf-8")
    variables = json.loads(json.dumps(values))  # plain copies: nobody's mark on a string comes along
    with _lock, _own_configuration():
        from ansible.errors import AnsibleError  # noqa: PLC0415
        from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
        from ansible.template import Templar, trust_as_template  # noqa: PLC0415

        loader = DataLoader()
        loader.set_basedir(str(templates))  # where templates that it includes are
        try:
            rendered = Templar(loader=loader, variables=variables).template(trust_as_template(text))
        except AnsibleError as error:
            raise UnfitTemplate(f"templates/{name}: {error}") from error
    return f"{rendered}\n" if not str(rendered).endswith("\n") else str(rendered)


@contextmanager
def _own_configuration() -> Iterator[None]:
    """Keep ansible-core from the user's configuration and plugins, and from writing to the user's home.

    It reads ``ANSIBLE_*`` and looks for ``ansible.cfg`` when it is imported, and makes its directories there.
    """
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("ANSIBLE_")}
    with tempfile.TemporaryDirectory(prefix="spare-tire-script-") as home:
        config = Path(home, "ansible.cfg")
        config.touch()
        own = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": home, "ANSIBLE_FILTER_PLUGINS": home}
        os.environ.update(own)
        try:
            yield
        finally:
            for name in own:
                del os.environ[name]
            os.environ.update(before)
