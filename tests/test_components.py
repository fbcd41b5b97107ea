from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.components import main
from tests.monorepo.trees import CONFORMING, LIB, TEST, TOOL
from tests.monorepos import EXAMPLE, MATRIX, ROOT, copy_example, write, write_monorepo

REPOSITORY = Path(__file__).parent.parent
GLOBS = CONFORMING[LIB].replace("rglobs", "globs")
FINDING = f"{LIB}:5 R3 the sources are globs('*.py'); write: sources = rglobs('*.py'),"
WAIVER = "  waivers: [{component: acme.base.lib, rule: R3, reason: history}]\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_monorepo(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_conventions_that_are_kept_are_exit_0(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (here / "wheel_matrix.yml").exists()
    assert main(["lint"]) == 0
    assert capsys.readouterr() == ("", "2 components: 0 findings\n")


def test_findings_are_the_result_and_exit_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {LIB: GLOBS})
    assert main(["lint"]) == 1
    assert capsys.readouterr() == (f"{FINDING}\n", "2 components: 1 finding\n")


def test_findings_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {LIB: GLOBS, TOOL: CONFORMING[TOOL].replace("rglobs", "globs"), "wheel_matrix.yml": MATRIX + WAIVER})
    assert main(["lint", "--json", "--quiet"]) == 1
    finding = {"rule": "R3", "line": 5, "message": FINDING.partition(" R3 ")[2]}
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "findings": [{**finding, "file": TOOL, "component": "acme.base.tool"}],
        "waived": [{**finding, "file": LIB, "component": "acme.base.lib", "reason": "history"}],
    }


def test_a_waiver_of_the_matrix_lets_a_finding_pass(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {LIB: GLOBS, "wheel_matrix.yml": MATRIX + WAIVER})
    assert main(["lint"]) == 0
    assert capsys.readouterr() == ("", "2 components: 0 findings, 1 waived\n")


def test_a_waiver_that_is_not_needed_is_a_finding(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"wheel_matrix.yml": MATRIX + WAIVER})
    assert main(["lint"]) == 1
    assert capsys.readouterr().out == (
        "wheel_matrix.yml:5 waiver acme.base.lib does not break R3; leave this waiver out\n"
    )


def test_only_what_lies_in_the_named_folders_is_judged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {LIB: GLOBS, "wheel_matrix.yml": MATRIX + WAIVER.replace("lib", "tool")})
    assert main(["lint", "--verbose", f"{ROOT}/acme/base/lib"]) == 1
    assert capsys.readouterr() == (f"{FINDING}\n", "1 component: 1 finding\n")
    assert main(["lint", "src/test"]) == 0
    assert main(["lint", f"{ROOT}/acme/base/tool", f"{ROOT}/acme/base/lib/"]) == 1
    assert capsys.readouterr().out.count("\n") == 2


def test_findings_of_a_folder_are_chosen_by_it_whatever_its_name(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dotted = GLOBS.replace("'lib'", "'v1.2'").replace("acme.base.lib", "acme.base.v1.2")
    odd = {f"{ROOT}/acme/base/v1.2/BUILD": dotted, f"{ROOT}/acme/base/v1.2/__init__.py": ""}
    matrix = MATRIX.replace("src/test/python", "tests")
    write(here, {"wheel_matrix.yml": matrix, **odd, "tests/BUILD": CONFORMING[TEST].replace("/tool'", "/tool:tool'")})
    assert main(["lint", "--quiet", "tests"]) == 1
    assert capsys.readouterr().out == (
        f"tests/BUILD:5 R4 '{ROOT}/acme/base/tool:tool' names a public target with ':'; write '{ROOT}/acme/base/tool'\n"
    )
    assert main(["lint", "--quiet", f"{ROOT}/acme/base/v1.2"]) == 1
    assert capsys.readouterr().out == FINDING.replace("base/lib", "base/v1.2") + "\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["lint", f"{ROOT}/acme/base/lib/data"],
        ["lint", f"{ROOT}/acme/base/lib/__init__.py"],
        ["build", f"{ROOT}/acme/base/lib/data"],
        ["verify", "src/test"],
        ["list", "src/test"],
    ],
    ids=" ".join,
)
def test_a_folder_without_a_component_is_no_success_over_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    write(here, {LIB: GLOBS, f"{ROOT}/acme/base/lib/data/x.py": ""})
    assert main(arguments) == 2
    assert capsys.readouterr() == (
        "",
        f"error: {arguments[1]}: no component lies there; name the folder of one, or one above such as {ROOT}\n",
    )


def test_a_waiver_of_a_folder_outside_the_root_is_chosen_by_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waiver = WAIVER.replace("acme.base.lib", "src/test/python/tool").replace("R3", "R4")
    write(here, {TEST: CONFORMING[TEST].replace("/tool'", "/tool:tool'"), "wheel_matrix.yml": MATRIX + waiver})
    assert main(["lint", "src/test"]) == 0
    assert main(["lint", ROOT]) == 0
    assert capsys.readouterr().err == "0 components: 0 findings, 1 waived\n2 components: 0 findings\n"


def test_findings_are_written_as_sarif_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {LIB: GLOBS})
    assert main(["lint", "--sarif", "build/lint.sarif"]) == 1
    assert capsys.readouterr().out == f"{FINDING}\n"
    (result,) = json.loads((here / "build/lint.sarif").read_bytes())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == LIB


def test_what_is_found_depends_on_nothing_but_the_files(here: Path) -> None:
    write(here, {LIB: GLOBS, TOOL: CONFORMING[TOOL].replace("cli:main", "cli:mein"), f"{ROOT}/x/y/z/a.py": ""})
    said = set()
    for seed in "123":
        command = [sys.executable, "-m", "tasks.components", "lint", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": seed}
        said.add(subprocess.run(command, env=environment, check=False, capture_output=True, text=True).stdout)
    assert len(said) == 1


# ── The list ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_example_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    assert capsys.readouterr() == (
        """\
acme.release.notes 1.4.0  src/main/python/acme/release/notes
└── acme.text.slug 1.4.0
acme.release.version 1.4.0  src/main/python/acme/release/version
└── packaging (third-party)
acme.text.slug 1.4.0  src/main/python/acme/text/slug
acme.tools.release 1.4.0  src/main/python/acme/tools/release
├── binary newest-version: acme.tools.release.newest:main
├── binary release-notes: acme.tools.release.notes:main
├── acme.release.notes 1.4.0
└── acme.release.version 1.4.0
""",
        "4 components, 2 binaries\n",
    )


def test_the_list_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", str(here / ROOT / "acme/base/tool")]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "components": [
            {
                "name": "acme.base.tool",
                "version": "1.2.0-SNAPSHOT",
                "directory": f"{ROOT}/acme/base/tool",
                "binaries": [{"name": "my-tool", "entry_point": "acme.base.tool.cli:main"}],
                "requires": ["acme.base.lib"],
                "third_party": [],
                "files": [f"{ROOT}/acme/base/tool/__init__.py", f"{ROOT}/acme/base/tool/cli.py"],
            }
        ]
    }


def test_what_breaks_a_convention_is_listed_all_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {LIB: GLOBS})
    assert main(["list", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("acme.base.lib 1.2.0-SNAPSHOT  src/main/python/acme/base/lib\n")


# ── The example, and the shipped matrix ───────────────────────────────────────────────────────────────────────────────


def test_the_example_keeps_the_conventions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert main(["lint", "--matrix", "wheel_matrix.yml"]) == 0
    assert capsys.readouterr() == ("", "4 components: 0 findings\n")


def test_the_tests_of_the_example_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider", "--rootdir=.", "src/test"]
    environment = {**os.environ, "PYTHONPATH": "src/main/python", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(command, cwd=EXAMPLE, env=environment, check=False, capture_output=True, text=True)
    assert "2 passed" in ran.stdout, ran.stdout


def test_the_component_of_the_documentation_keeps_the_conventions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (REPOSITORY / "docs/components.md").read_text(encoding="utf-8")
    written = document.split("```python\n")[1].split("```")[0]
    copy_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {f"{ROOT}/acme/tools/release/BUILD": written})
    assert main(["lint"]) == 0
    assert capsys.readouterr() == ("", "4 components: 0 findings\n")
    assert main(["list", "--quiet", f"{ROOT}/acme/tools"]) == 0
    assert (
        capsys.readouterr().out
        == """\
acme.tools.release 1.4.0  src/main/python/acme/tools/release
├── binary release-notes: acme.tools.release.notes:main
├── acme.release.notes 1.4.0
└── packaging (third-party)
"""
    )


# ── Bad input ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("files", "options", "messages"),
    [
        pytest.param(
            {LIB: "import os\nos.system('true')\n"},
            [],
            [
                f"{LIB}:2: unknown function os.system(...); expected one of python_library, python_binary, resources; nothing is run"
            ],
            id="arbitrary code",
        ),
        pytest.param({LIB: "python_library(\n"}, [], [f"{LIB}:1: not Python: '(' was never closed"], id="syntax"),
        pytest.param(
            {LIB: "python_libary(name = 'lib')"},
            [],
            [f"{LIB}:1: unknown function python_libary(...); did you mean python_library(...)?"],
            id="unknown call",
        ),
        pytest.param(
            {LIB: "python_library(name = 'lib', dependencies = 'x')"},
            [],
            [f"{LIB}:1: python_library: dependencies: expected a list of texts, found 'x'"],
            id="wrong type",
        ),
        pytest.param(
            {LIB: CONFORMING[LIB] + "resources(name = 'lib')"},
            [],
            [f"{LIB}:14: the target 'lib' is there already, in line 3"],
            id="duplicate target",
        ),
        pytest.param(
            {".version": "one"},
            [],
            [".version:1: expected a version as PEP 440 writes it, -SNAPSHOT after it or not, found 'ONE'"],
            id="version",
        ),
        pytest.param(
            {"wheel_matrix.yml": "packages: {}\n"},
            [],
            ["wheel_matrix.yml: there is no key 'components', which names the root of the monorepo's packages"],
            id="no components",
        ),
        pytest.param(
            {"wheel_matrix.yml": "components: {root: src}\n"},
            [],
            [
                "wheel_matrix.yml:1: components: the key 'version_file' is missing: the file that holds the version of all components"
            ],
            id="no version file",
        ),
        pytest.param(
            {}, ["--matrix", "gone.yml"], ["gone.yml: there is no such file; name one with --matrix"], id="matrix"
        ),
        pytest.param(
            {},
            ["src/thrift"],
            ["src/thrift: no component lies there; name the folder of one, or one above such as src/main/python"],
            id="a folder",
        ),
        pytest.param({}, ["/"], ["/: does not lie below the build root HERE"], id="a folder outside"),
        pytest.param({}, ["--sarif", "src"], ["--sarif src: cannot be written: Is a directory"], id="sarif"),
    ],
)
def test_bad_input_is_exit_2(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    options: list[str],
    messages: list[str],
) -> None:
    write(here, files)
    assert main(["lint", *options]) == 2
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"error: {message.replace('HERE', str(here))}" for message in messages]
    assert said.out == ""


@pytest.mark.parametrize(
    ("path", "change", "rule"),
    [
        (LIB, ("rglobs('*.py')", "['gone.py']"), "R3"),
        (TOOL, ("tool.cli:main", "tool.gone:main"), "R7"),
        (TOOL, ("acme/base/lib'", "acme/base/lib:_x'"), "R4"),
        (LIB, ("3rdparty/python:PyYAML", "src/main/python/acme/base/tool"), "R11"),
    ],
    ids=["missing sources", "entry point", "private target", "cycle"],
)
def test_what_breaks_a_convention_is_exit_1(
    here: Path, capsys: pytest.CaptureFixture[str], path: str, change: tuple[str, str], rule: str
) -> None:
    write(here, {path: CONFORMING[path].replace(*change)})
    assert main(["lint", "--quiet"]) == 1
    assert f" {rule} " in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["bake"], ["lint", "--sarif"]])
def test_a_command_line_without_a_verb_is_exit_2(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert here.is_dir()
    assert main(options) == 2
    assert "usage: python -m tasks.components" in capsys.readouterr().err


def test_sarif_is_for_lint(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--sarif", "x"]) == 2
    assert capsys.readouterr().err == "error: --sarif is for lint: leave it out of list\n"
    assert not (here / "x").exists()
