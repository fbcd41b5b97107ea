from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema
import pytest

from tasks.core.errors import BadInput
from tasks.core.matrix import digest, flat
from tasks.core.matrix_shape import schema
from tasks.core.monorepo import Components, Waiver
from tasks.matrixfile import parse

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """\
packages: {}
components:
  buildroot: ./mono
  root: mono/src/main/python/
  version_file: mono/.version
  requirements: mono/deps/requirements.txt
  dependants: [mono/src/test/python]
  waivers:
  - {component: a.b.c, rule: R3, reason: generated code}
  - component: src/test/python/x
    rule: R11
    reason: "2 years of history"
"""


def read(folder: Path, text: str) -> Components | None:
    return parse(text.encode(), folder / "m.yml").components


def test_components_are_read_with_the_lines_of_their_waivers(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE) == Components(
        buildroot="mono",
        root="mono/src/main/python",
        version_file="mono/.version",
        requirements="mono/deps/requirements.txt",
        dependants=("mono/src/test/python",),
        waivers=(
            Waiver(component="a.b.c", rule="R3", reason="generated code", line=9),
            Waiver(component="src/test/python/x", rule="R11", reason="2 years of history", line=10),
        ),
    )


def test_two_keys_are_enough(tmp_path: Path) -> None:
    components = read(tmp_path, "components: {root: src/main/python, version_file: .version}\n")
    assert components == Components(root="src/main/python", version_file=".version")
    assert components is not None
    assert components.third_party == "3rdparty/python/requirements.txt"
    assert components.address(components.root) == "src/main/python"


def test_addresses_are_relative_to_the_build_root(tmp_path: Path) -> None:
    components = read(tmp_path, "components: {buildroot: a/b, root: a/b/src, version_file: a/b/v}\n")
    assert components is not None
    assert components.third_party == "a/b/3rdparty/python/requirements.txt"
    assert [components.address(path) for path in ("a/b/src", "a/b/v", "a/b")] == ["src", "v", "."]


def test_components_are_left_out_of_the_flat_form_and_of_its_digest(tmp_path: Path) -> None:
    matrix = parse(WHOLE.encode(), tmp_path / "m.yml")
    assert flat(matrix, None) == {"packages": {}}
    assert digest(parse(b"packages: {}\n", tmp_path / "m.yml"), None) == digest(matrix, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index: x\n", "m.yml:1: the key 'packages' is missing: what to build"),
        ("components: x\n", "m.yml:1: components: expected a mapping with the keys root and version_file, found 'x'"),
        (
            "components: {version_file: v}\n",
            "m.yml:1: components: the key 'root' is missing: the folder that the dotted names of components begin below",
        ),
        (
            "components: {root: /src, version_file: v}\n",
            "m.yml:1: components.root: expected a relative path such as src/main/python, found '/src': it has to lie in the folder of this file, with '/' between its parts",
        ),
        (
            "components: {root: ../src, version_file: v}\n",
            "m.yml:1: components.root: expected a relative path such as src/main/python, found '../src': it has to lie in the folder of this file, with '/' between its parts",
        ),
        (
            "components: {root: src, version_file: v, buildroot: mono}\n",
            "m.yml:1: components: root: 'src' does not lie below the buildroot 'mono'",
        ),
        (
            "components: {root: m/src, version_file: v, buildroot: m}\n",
            "m.yml:1: components: version_file: 'v' does not lie below the buildroot 'm'",
        ),
        (
            "components: {root: m/src, version_file: m/v, buildroot: m, requirements: r/r.txt}\n",
            "m.yml:1: components: requirements: 'r/r.txt' does not lie below the buildroot 'm'",
        ),
        (
            "components: {root: m/src, version_file: m/v, buildroot: m, dependants: [tests]}\n",
            "m.yml:1: components: dependants[0]: 'tests' does not lie below the buildroot 'm'",
        ),
        (
            "components: {root: src, version_file: v, requirements: r.txt}\n",
            "m.yml:1: components: requirements: the file has to lie in a folder, which is the address of what it lists",
        ),
        (
            "components: {root: src, version_file: v, dependants: [tests, src/test]}\n",
            "m.yml:1: components: dependants[1]: 'src/test' and the root 'src' must lie side by side",
        ),
        (
            "components: {root: src/main, version_file: v, dependants: [src]}\n",
            "m.yml:1: components: dependants[0]: 'src' and the root 'src/main' must lie side by side",
        ),
        (
            "components: {root: src, version_file: v, waivers: [{component: a.b.c, rule: R12, reason: x}]}\n",
            "m.yml:1: components.waivers[0].rule: expected a rule, found 'R12': one of R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11",
        ),
        (
            "components: {root: src, version_file: v, waivers: [{component: a.b.c, rule: R1}]}\n",
            "m.yml:1: components.waivers[0]: the key 'reason' is missing: why, for people",
        ),
        (
            "components: {root: src, version_file: v, waivers: [{component: a.b.c, rule: R1, reason: ' '}]}\n",
            "m.yml:1: components.waivers[0].reason: expected a reason, found ' '",
        ),
        (
            "components: {root: src, version_file: v, waivers: [{component: 'a b', rule: R1, reason: x}]}\n",
            "m.yml:1: components.waivers[0].component: expected a component such as a.b.c, or the folder of a BUILD file, found 'a b'",
        ),
        (
            "components:\n  root: src\n  version_file: v\n  waivers:\n  - {component: a.b.c, rule: R1, reason: x}\n  - {component: a.b.c, rule: R1, reason: y}\n",
            "m.yml:2: components: a.b.c is waived R1 twice, in lines 5 and 6",
        ),
        ("components: {root: src, versionfile: v}\n", "m.yml:1: components.versionfile: unknown key; did you mean 'version_file'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_components_is_told_by_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    assert caught.value.messages[0].replace(f"{tmp_path}/", "") == message


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        ({"packages": {}}, True),
        ({"components": {"root": "src", "version_file": ".version"}}, True),
        ({"components": {"root": "src"}}, False),
        ({"components": {"root": "/src", "version_file": ".version"}}, False),
        ({"index": "dist/index"}, False),
    ],
)
def test_the_schema_wants_packages_or_components(document: object, *, valid: bool) -> None:
    assert jsonschema.Draft202012Validator(schema()).is_valid(document) is valid
