"""The script that hosts run: values stay text, and what it does with this host's own shells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tasks.script import BUILD_HOST, TEMPLATES, UnfitTemplate, render
from tests.scripts import SHELLS, VALUES, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "hostile", ["{{ lookup('pipe', 'touch hacked') }}", "{% raw %}", "'; touch hacked; '", "$(id)"]
)
def test_a_value_stays_the_text_that_it_is(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = render(BUILD_HOST, {**VALUES, "root": str(tmp_path / "root"), "system_packages": [hostile]})

    code, said = run(script, "prepare")

    assert code == 0, said
    assert f"spare-tire: system packages that the matrix names, left to you to install: {hostile}" in said
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_a_value_that_comes_marked_as_a_template_is_text_all_the_same(tmp_path: Path) -> None:
    from ansible.template import trust_as_template  # noqa: PLC0415 - after render has set it up

    marked = trust_as_template("{{ lookup('pipe', 'touch hacked') }}")
    (tmp_path / "said.j2").write_text("{{ value | quote }}", encoding="utf-8")

    assert render("said.j2", {"value": marked}, templates=tmp_path) == (
        "'{{ lookup('\"'\"'pipe'\"'\"', '\"'\"'touch hacked'\"'\"') }}'\n"
    )


def test_every_value_of_every_script_is_quoted() -> None:
    text = "".join(template.read_text(encoding="utf-8") for template in TEMPLATES.rglob("*.sh.j2"))
    values = re.findall(r"{{(.*?)}}", text)
    assert values
    assert [value for value in values if not value.endswith("| quote ")] == []


def test_a_name_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "said.j2").write_text("{{ vlaue | quote }}", encoding="utf-8")

    with pytest.raises(UnfitTemplate, match=r"^templates/said\.j2: 'vlaue' is undefined"):
        render("said.j2", {"value": "x"}, templates=tmp_path)


def test_rendering_leaves_home_environment_and_the_users_configuration_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    plugins = home / ".ansible" / "plugins" / "filter"
    plugins.mkdir(parents=True)
    (plugins / "quote.py").write_text(
        "class FilterModule:\n    def filters(self): return {'quote': lambda text: text}\n"
    )
    (tmp_path / "ansible.cfg").write_text("[defaults]\nlocal_tmp = here\n")
    code = f"from tasks.script import *; print(render(BUILD_HOST, { ({**VALUES, 'root': 'a b'})!r}))"
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(TEMPLATES.parent), "ANSIBLE_JINJA2_NATIVE": "yes"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert "root='a b'\n" in done.stdout
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_prepare_makes_the_root_and_says_what_the_host_has(shell: list[str], tmp_path: Path) -> None:
    values = {**VALUES, "root": str(tmp_path / "it's here"), "pythons": [sys.executable, "/nowhere/python3.99"]}

    code, said = run(render(BUILD_HOST, values), "prepare", by=shell)

    assert code == 0, said
    assert (tmp_path / "it's here").is_dir()
    version = ".".join(map(str, sys.version_info[:3]))
    uname = os.uname()
    assert said[0] == f"spare-tire: host: {uname.sysname} {uname.release} {uname.machine}"
    assert said[-2] == f"spare-tire: interpreter: {sys.executable}, {version}"
    assert said[-1].startswith("spare-tire: interpreter: /nowhere/python3.99, ")


def test_an_action_becomes_the_helper_in_a_clean_environment(tmp_path: Path) -> None:
    helper = tmp_path / "it's the helper.py"
    helper.write_text("import os, sys; print(sys.argv[1], os.environ.get('PYTHONPATH'), os.environ.get('VIRTUAL_ENV'))")
    script = render(BUILD_HOST, {**VALUES, "helper": str(helper)})

    said = run(script, "action", sys.executable, "the job.json", PYTHONPATH="/x", VIRTUAL_ENV="/y")

    assert said == (0, ["the job.json None None"])


@pytest.mark.parametrize("arguments", [[], ["demolish"]])
def test_another_command_is_bad_input(arguments: list[str]) -> None:
    said = f"spare-tire: expected 'prepare' or 'action PYTHON JOB', found '{' '.join(arguments)}'"
    assert run(render(BUILD_HOST, VALUES), *arguments) == (2, [said])
