"""The script that hosts run: values stay text, and what it does with this host's own shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tasks.script import BUILD_HOST, TEMPLATES, UnfitTemplate, render

if TYPE_CHECKING:
    from pathlib import Path

VALUES: dict[str, Any] = {
    "root": "/nowhere",
    "helper": "/nowhere/helper.py",
    "path": os.environ["PATH"],
    "may_install": "no",
    "system_packages": [],
    "pythons": [],
}
SHELLS = [shell for shell in (["dash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(shell[0])]


def run(script: str, *arguments: str, shell: tuple[str, ...] = ("sh",), **variables: str) -> tuple[int, list[str]]:
    """Run a rendered script; return its exit code and what it printed."""
    done = subprocess.run(
        [*shell, "-c", script, "build_host.sh", *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def programs(folder: Path, **scripts: str) -> str:
    """Make programs of these shell scripts; return the directory."""
    folder.mkdir()
    for name, text in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
    return str(folder)


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
    for template in TEMPLATES.glob("*.sh.j2"):
        values = re.findall(r"{{(.*?)}}", template.read_text(encoding="utf-8"))
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

    code, said = run(render(BUILD_HOST, values), "prepare", shell=tuple(shell))

    assert code == 0, said
    assert (tmp_path / "it's here").is_dir()
    version = ".".join(map(str, sys.version_info[:3]))
    uname = os.uname()
    assert said[0] == f"spare-tire: host: {uname.sysname} {uname.release} {uname.machine}"
    assert said[-2] == f"spare-tire: interpreter: {sys.executable}, {version}"
    assert said[-1].startswith("spare-tire: interpreter: /nowhere/python3.99, ")


@pytest.mark.parametrize(
    ("system", "manager", "said"),
    [
        ("FreeBSD", "pkg", ["pkg install -y lang/rust libyaml"]),
        ("Darwin", "brew", ["brew install --quiet lang/rust libyaml"]),
        (
            "Linux",
            "apt_get",
            ["apt-get update -q", "apt-get install -q -y --no-install-recommends lang/rust libyaml"],
        ),
    ],
)
def test_system_packages_are_installed_where_the_worker_allows_it(
    system: str, manager: str, said: list[str], tmp_path: Path
) -> None:
    own = programs(
        tmp_path / "bin",
        uname=f"echo {system}",
        id=f"echo {501 if system == 'Darwin' else 0}",
        **{manager: f'echo "{manager.replace("_", "-")} $*"'},
    )
    path = f"{own}:/usr/bin:/bin"
    packages = {"system_packages": ["lang/rust", "libyaml"], "may_install": "yes"}

    code, lines = run(render(BUILD_HOST, {**VALUES, **packages, "path": path, "root": str(tmp_path)}), "prepare")

    assert code == 0, lines
    assert lines[1] == "spare-tire: installing lang/rust libyaml"
    assert lines[2 : 2 + len(said)] == said


def alone(folder: Path, **scripts: str) -> str:
    """Make programs that have none beside them but what the script itself takes; return the directory."""
    made = programs(folder, uname="echo Linux", id="echo 0", **scripts)
    (folder / "mkdir").symlink_to(shutil.which("mkdir") or "")
    return made


@pytest.mark.parametrize(
    ("manager", "said"),
    [("dnf", "dnf install -q -y rust libyaml"), ("apk", "apk add --quiet --no-progress rust libyaml")],
)
def test_system_packages_are_installed_by_what_a_linux_has(manager: str, said: str, tmp_path: Path) -> None:
    path = alone(tmp_path / "bin", **{manager: f'echo "{manager} $*"'})
    packages = {"system_packages": ["rust", "libyaml"], "may_install": "yes"}

    code, lines = run(render(BUILD_HOST, {**VALUES, **packages, "path": path, "root": str(tmp_path)}), "prepare")

    assert code == 0, lines
    assert lines[1:3] == ["spare-tire: installing rust libyaml", said]


def test_a_host_without_a_package_manager_that_is_known_is_not_prepared(tmp_path: Path) -> None:
    values = {**VALUES, "root": str(tmp_path), "system_packages": ["x", "y"], "may_install": "yes"}

    code, lines = run(render(BUILD_HOST, {**values, "path": alone(tmp_path / "bin")}), "prepare")

    assert code == 2
    assert lines[-1] == ("spare-tire: no known package manager is here (apt-get, dnf, apk); have them installed: x y")


def test_a_package_that_looks_like_an_option_is_no_package(tmp_path: Path) -> None:
    values = {**VALUES, "root": str(tmp_path), "system_packages": ["--allow-downgrades"], "may_install": "yes"}

    code, lines = run(render(BUILD_HOST, values), "prepare")

    assert code == 2
    assert lines[-1] == "spare-tire: the system package '--allow-downgrades' looks like an option, expected a name"


def test_a_host_that_cannot_install_what_is_named_is_not_prepared(tmp_path: Path) -> None:
    own = programs(tmp_path / "bin", uname="echo FreeBSD", id="echo 0", pkg="echo no repositories; exit 3")
    values = {**VALUES, "root": str(tmp_path), "system_packages": ["x"], "may_install": "yes"}

    code, lines = run(render(BUILD_HOST, {**values, "path": f"{own}:/usr/bin:/bin"}), "prepare")

    assert code == 3
    assert lines[-1] == "no repositories"


@pytest.mark.parametrize("system", ["FreeBSD", "Linux"])
def test_a_user_who_is_not_root_is_told_so_instead_of_the_package_manager_s_riddle(system: str, tmp_path: Path) -> None:
    own = programs(tmp_path / "bin", uname=f"echo {system}", id="echo 1000", pkg="echo riddle", apt_get="echo riddle")
    values = {**VALUES, "root": str(tmp_path), "system_packages": ["x", "y"], "may_install": "yes"}

    code, lines = run(render(BUILD_HOST, {**values, "path": f"{own}:/usr/bin:/bin"}), "prepare")

    assert code == 2
    assert lines[2:] == [
        (
            "spare-tire: installing system packages takes root, and this is user 1000; "
            "build as root, or have them installed: x y"
        )
    ]


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
