from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.monorepo.distributions import Distribution, Script, distributions, tree_lines
from tasks.monorepo.tree import Address, cycles
from tests.monorepo.trees import LIB, ROOT, TOOL, changed, tree_of

if TYPE_CHECKING:
    from tests.monorepo.trees import Change

BASE = f"{ROOT}/acme/base"
LIBRARY = Distribution(
    name="acme.base.lib",
    version="1.2.0-SNAPSHOT",
    version_line=11,
    directory=f"{BASE}/lib",
    scripts=(),
    requires=(),
    third_party=("pyyaml",),
    files=(f"{BASE}/lib/__init__.py",),
)
TOOLS = Distribution(
    name="acme.base.tool",
    version="1.2.0-SNAPSHOT",
    version_line=26,
    directory=f"{BASE}/tool",
    scripts=(Script(name="my-tool", entry_point="acme.base.tool.cli:main", line=13),),
    requires=("acme.base.lib",),
    third_party=(),
    files=(f"{BASE}/tool/__init__.py", f"{BASE}/tool/cli.py"),
)


def test_a_component_is_a_distribution_with_its_files_scripts_and_requirements() -> None:
    assert distributions(tree_of(changed({}))) == (LIBRARY, TOOLS)


def test_what_provides_no_distribution_is_copied_with_what_it_requires() -> None:
    private = "resources(name = '_ui', sources = globs('*.css'), dependencies = ['3rdparty/python:requests'])"
    changes: dict[str, Change] = {
        TOOL: ("    'src/main/python/acme/base/lib',\n", "    ':_ui',\n"),
        f"{BASE}/tool/x.css": "",
        f"{BASE}/tool/y.js": "",
    }
    files = changed(changes)
    files[TOOL] += private
    (_, tool) = distributions(tree_of(files))
    assert (tool.requires, tool.third_party) == ((), ("requests",))
    assert tool.files == tuple(f"{BASE}/tool/{name}" for name in ("__init__.py", "cli.py", "x.css"))


def test_a_binary_without_an_entry_point_is_listed_all_the_same() -> None:
    (_, tool) = distributions(
        tree_of(changed({TOOL: ("entry_point = 'acme.base.tool.cli:main'", "source = 'cli.py'")}))
    )
    assert tool.scripts == (Script(name="my-tool", entry_point=None, line=11),)


def test_distributions_are_shown_with_what_they_need() -> None:
    assert tree_lines([TOOLS], [LIBRARY, TOOLS]) == [
        "acme.base.tool 1.2.0-SNAPSHOT  src/main/python/acme/base/tool",
        "├── binary my-tool: acme.base.tool.cli:main",
        "└── acme.base.lib 1.2.0-SNAPSHOT",
    ]
    assert tree_lines([LIBRARY], [LIBRARY, TOOLS])[1:] == ["└── pyyaml (third-party)"]


def test_a_component_that_provides_nothing_is_no_distribution() -> None:
    assert [each.name for each in distributions(tree_of(changed({LIB: "python_library(name = 'lib')"})))] == [
        "acme.base.tool"
    ]


@pytest.mark.parametrize(
    ("graph", "ways"),
    [
        ({"a": "b", "b": "c", "c": ""}, []),
        ({"a": "a"}, ["aa"]),
        ({"a": "b", "b": "a"}, ["aba"]),
        ({"a": "bc", "b": "", "c": "d", "d": "ec", "e": ""}, ["cdc"]),
        ({"a": "b", "b": "c", "c": "ad", "d": "e", "e": "d"}, ["abca", "ded"]),
        ({"a": "bc", "b": "c", "c": "a"}, ["aca"]),
        ({"c": "a", "b": "a", "a": "bc"}, ["aba"]),
    ],
)
def test_one_way_around_is_found_for_each_knot(graph: dict[str, str], ways: list[str]) -> None:
    addresses = {name: Address("x", name) for name in graph}
    found = cycles({addresses[name]: [addresses[other] for other in onwards] for name, onwards in graph.items()})
    assert ["".join(address.name for address in way) for way in found] == ways


def test_a_long_chain_of_dependencies_needs_no_deep_stack() -> None:
    chain = [Address("x", f"{number:05}") for number in range(20_000)]
    assert cycles({each: chain[place + 1 : place + 2] for place, each in enumerate(chain)}) == ()
