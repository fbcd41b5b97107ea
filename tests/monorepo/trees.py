"""A small monorepo in memory, which keeps every convention, and what a test changes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.monorepo.binary_rules import entry_modules, names_defined
from tasks.monorepo.build_file import DEPENDANT_KINDS, read_build
from tasks.monorepo.lint import lint
from tasks.monorepo.tree import Layout, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.monorepo.build_file import BuildFile

ROOT = "src/main/python"
LIB, TOOL, TEST = f"{ROOT}/acme/base/lib/BUILD", f"{ROOT}/acme/base/tool/BUILD", "src/test/python/tool/BUILD"
VERSION = "1.2.0-SNAPSHOT"
CONFORMING = {
    LIB: """\
import os

python_library(
  name = 'lib',
  sources = rglobs('*.py'),
  dependencies = [
    '3rdparty/python:PyYAML',
  ],
  provides = setup_py(
    name = 'acme.base.lib',
    version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper(),
  ),
)
""",
    f"{ROOT}/acme/base/lib/__init__.py": "",
    TOOL: """\
import os

python_library(
  name = '_tool',
  sources = rglobs('*.py'),
  dependencies = [
    'src/main/python/acme/base/lib',
  ],
)

python_binary(
  name = 'my-tool',
  entry_point = 'acme.base.tool.cli:main',
  dependencies = [
    ':_tool',
  ],
)

python_library(
  name = 'tool',
  dependencies = [
    ':_tool',
  ],
  provides = setup_py(
    name = 'acme.base.tool',
    version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper(),
  ).with_binaries({
    'my-tool': ':my-tool',
  }),
)
""",
    f"{ROOT}/acme/base/tool/__init__.py": "",
    f"{ROOT}/acme/base/tool/cli.py": "def main() -> None: ...\n",
    TEST: """\
python_tests(
  name = 'tool',
  sources = globs('*.py'),
  dependencies = [
    'src/main/python/acme/base/tool',
  ],
)
""",
    "src/thrift/BUILD": "",
}
Change = str | tuple[str, str] | None
"""A file's new text, or one of its lines and what stands there instead; ``None`` takes the file away."""


def changed(changes: Mapping[str, Change]) -> dict[str, str]:
    """Return the conforming monorepo with some changes."""
    files = dict(CONFORMING)
    for path, change in changes.items():
        if change is None:
            del files[path]
        elif isinstance(change, str):
            files[path] = change
        else:
            assert files[path].count(change[0]) == 1, f"{path} has {files[path].count(change[0])} of {change[0]!r}"
            files[path] = files[path].replace(*change)
    return files


def tree_of(files: Mapping[str, str], *, links: Mapping[str, str] | None = None, root: str = ROOT) -> Tree:
    """Return the tree of some files by their paths; what is not below the root or ``src/test`` is elsewhere."""
    inside = sorted(path for path in files if root == "." or path.startswith(f"{root}/"))
    tests = [path for path in sorted(files) if path.startswith("src/test/") and path.endswith("/BUILD")]

    def build(path: str, kinds: tuple[str, ...]) -> BuildFile:
        read = {".version": "1.2.0-snapshot\n", "other": "9"}.__getitem__
        folder = path.rpartition("/")[0] or "."
        return read_build(files[path].encode(), file=path, directory=folder, read=read, kinds=kinds)

    def made(defined: Mapping[str, frozenset[str] | None]) -> Tree:
        return Tree(
            layout=Layout(
                root=root,
                requirements="3rdparty/python/requirements.txt",
                version_file=".version",
                version=VERSION,
            ),
            builds=tuple(
                build(path, ("python_library", "python_binary", "resources"))
                for path in inside
                if path.rpartition("/")[2] == "BUILD"
            ),
            dependants=tuple(build(path, DEPENDANT_KINDS) for path in tests),
            paths=tuple(inside),
            links=links or {},
            spare=tuple(path for path in inside if path.rpartition("/")[2].startswith("BUILD.")),
            requirements={canonicalize_name(name): (name,) for name in ("PyYAML", "requests")},
            elsewhere=frozenset({"src/thrift"}),
            defined=defined,
        )

    return made({path: names_defined(files[path].encode()) for path in entry_modules(made({}))})


def found(changes: Mapping[str, Change], *, links: Mapping[str, str] | None = None) -> list[str]:
    """Return what lint finds after some changes, with the root's path cut to ``…``."""
    return [str(finding).replace(f"{ROOT}/acme/base", "…") for finding in lint(tree_of(changed(changes), links=links))]
