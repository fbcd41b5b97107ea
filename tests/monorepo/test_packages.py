from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tasks.core.errors import BadInput
from tasks.monorepo.packages import BACKEND, Package, closure, differences, key_of, packages, pep440
from tests.monorepo.trees import CONFORMING, LIB, TOOL, tree_of

BASE = Package(name="a.b.c", version="1", directory="a/b/c", pyproject="x", files={}, requires=("d.e.f",))


@pytest.mark.parametrize(
    ("version", "normalised"),
    [
        ("1.4.0", "1.4.0"),
        ("1.5.0-SNAPSHOT", "1.5.0.dev7"),
        ("1.5.0-RC1", "1.5.0rc1"),
        ("1.5.0-RC1-SNAPSHOT", "1.5.0rc1.dev7"),
        ("01.5", "1.5"),
    ],
)
def test_versions_are_normalised(version: str, normalised: str) -> None:
    assert pep440(version, lambda: 7) == normalised


def test_commits_are_counted_for_snapshots_alone() -> None:
    def commits() -> int:
        raise AssertionError

    assert pep440("1.0", commits) == "1.0"


@pytest.mark.parametrize("version", ["1.0.DEV1-SNAPSHOT", "SNAPSHOT", "1.0-SNAPSHOT-2"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a version as PEP 440 writes it, -SNAPSHOT after it or not$"):
        pep440(version, lambda: 7)


def test_a_component_is_a_project_as_pep_621_describes_it() -> None:
    package = packages(tree_of(CONFORMING), lambda: 7)["acme.base.tool"]
    project = tomllib.loads(package.pyproject)["project"]
    assert project == {
        "name": "acme.base.tool",
        "version": "1.2.0.dev7",
        "requires-python": ">=3",
        "dependencies": ["acme.base.lib==1.2.0.dev7"],
        "scripts": {"my-tool": "acme.base.tool.cli:main"},
    }
    assert package.files["acme/base/tool/cli.py"] == "src/main/python/acme/base/tool/cli.py"


def test_the_backend_is_that_of_the_lock() -> None:
    lock = (Path(__file__).parents[2] / "requirements/components.txt").read_text(encoding="utf-8")
    assert f"\n{BACKEND} \\\n" in lock, "requirements/components.txt has another version: change BACKEND to it"


def test_each_component_comes_after_those_that_it_requires() -> None:
    every = packages(tree_of(CONFORMING), lambda: 7)
    assert list(every) == ["acme.base.lib", "acme.base.tool"]
    assert closure(["acme.base.tool"], every) == ("acme.base.lib", "acme.base.tool")
    assert closure(["acme.base.lib"], every) == ("acme.base.lib",)


def test_a_cycle_has_no_first_to_build() -> None:
    listed = "    '3rdparty/python:PyYAML',\n"
    back = CONFORMING[LIB].replace(listed, f"{listed}    'src/main/python/acme/base/tool',\n")
    with pytest.raises(BadInput, match=r"^components that require each other have no first to build: acme\.base\."):
        packages(tree_of({**CONFORMING, LIB: back}), lambda: 7)


def test_a_version_that_is_none_is_named_with_its_file() -> None:
    read = "open(os.path.join(get_buildroot(), '.version')).read().strip().upper()"
    wrong = CONFORMING[TOOL].replace(read, "'x'")
    with pytest.raises(BadInput) as raised:
        packages(tree_of({**CONFORMING, TOOL: wrong}), lambda: 7)
    assert raised.value.messages == (
        f"{TOOL}:26: expected a version as PEP 440 writes it, -SNAPSHOT after it or not, found 'x'",
    )


def test_a_name_is_of_one_distribution() -> None:
    named = CONFORMING[TOOL].replace("name = 'acme.base.tool'", "name = 'acme.base-LIB'")
    with pytest.raises(BadInput) as raised:
        packages(tree_of({**CONFORMING, TOOL: named}), lambda: 7)
    (message,) = raised.value.messages
    assert message == (
        f"{TOOL}:25: 'acme.base-LIB' is the distribution of 'src/main/python/acme/base/lib', too, as pip reads names; "
        "rename one of them"
    )


def test_what_a_wheel_includes_is_told_by_its_files_whatever_its_name() -> None:
    named = CONFORMING[LIB].replace("'acme.base.lib'", "'base-lib'")
    package = packages(tree_of({**CONFORMING, LIB: named}), lambda: 7)["base-lib"]
    hatch = tomllib.loads(package.pyproject)["tool"]["hatch"]
    assert hatch["build"]["targets"]["wheel"] == {"only-include": ["acme"]}


def test_the_key_is_of_all_that_decides_on_the_bytes() -> None:
    def key(text: str = "x", digest: str = "0", requires: str = "k", pex: str = "1") -> str:
        package = Package(name="a", version="1", directory="a", pyproject=text, files={}, requires=())
        return key_of(package, {"a/b.py": digest}, {"d": requires}, {"pex": pex})

    assert key() == key()
    assert len({key(), key(text="y"), key(digest="1"), key(requires="l"), key(pex="2")}) == 5


def test_differences_are_named_by_path() -> None:
    found, expected = {"a": "0", "b": "0", "c": "0"}, {"b": "0", "c": "1", "d": "0"}
    assert list(differences(found, expected, here="x.pex", there="x.whl")) == [
        "x.pex holds a, which is not in x.whl",
        "x.pex holds other bytes than x.whl in c",
        "x.pex lacks d, which is in x.whl",
    ]


@pytest.mark.parametrize("text", ["PyYAML==6.0.3", 'PyYAML; os_name != "nt"', "a\\b\t\n", "\x7f", "Ünïcode 😀"])
def test_a_requirement_is_taken_from_the_requirements_file(text: str) -> None:
    tree = replace(tree_of(CONFORMING), requirements={canonicalize_name("PyYAML"): (text,)})
    project = tomllib.loads(packages(tree, lambda: 7)["acme.base.lib"].pyproject)["project"]
    assert project["dependencies"] == [text]


def test_every_requirement_of_every_name_is_taken() -> None:
    marked = ('PyYAML==6; os_name == "nt"', 'PyYAML==5; os_name != "nt"')
    both = CONFORMING[LIB].replace("'3rdparty/python:PyYAML'", "'3rdparty/python:PyYAML', '3rdparty/python:requests'")
    listed = {canonicalize_name("PyYAML"): marked, canonicalize_name("requests"): ("requests>=2",)}
    tree = replace(tree_of({**CONFORMING, LIB: both}), requirements=listed)
    project = tomllib.loads(packages(tree, lambda: 7)["acme.base.lib"].pyproject)["project"]
    assert project["dependencies"] == [*marked, "requests>=2"]
