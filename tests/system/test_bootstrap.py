"""Hosts that are made ready by Debian's own package manager, by users with rights and without."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.core.matrix import Rules
from tasks.script import BUILD_HOST, render
from tests.scripts import VALUES, System
from tests.system.ssh_stage import INSTANCE, Build, spam, write_plan
from tests.test_script_bootstrap import EVIL, PLATFORMS

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.core.actions import Action
    from tests.system.hosts import Host

YAML = Rules(system_packages=("libyaml-dev",))
NEEDS_YAML = "subprocess.run(['cc', '-fsyntax-only', '-include', 'yaml.h', '-x', 'c', '/dev/null'], check=True)"
DOAS = "permit nopass packager as root\n"
SUDO = "packager ALL=(ALL) NOPASSWD: ALL\n"


def needing_yaml(folder: Path) -> Action:
    """Return the action of a package that does not build without libyaml's header."""
    return replace(spam(folder, before=NEEDS_YAML), rules=YAML)


def let_in(host: Host, user: str) -> None:
    """Let a user in who is not root."""
    host.run("chmod 755 /root /etc/ssh; chmod 644 /etc/ssh/fixture_keys; touch /var/log/commands")
    host.run(f"chown {user} /var/log/commands")


def told(build: Build, start: str) -> list[str]:
    """Return what the script said, without what packages are called and how they are found."""
    return [line.partition("spare-tire: ")[2] for line in build.said if f"spare-tire: {start}" in line]


def test_a_package_that_is_missing_is_installed_once(host: Host, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE), needing_yaml(tmp_path))
    first = Build(tmp_path)
    assert first.end()[0] == 0, first.said
    assert told(first, "installing with ") == ["installing with apt-get: libyaml-dev"]
    assert host.run("dpkg-query --show --showformat '${db:Status-Abbrev}' libyaml-dev") == "ii "
    changed = host.run("stat -c %Y.%i /var/lib/dpkg/status")

    (tmp_path / "dist/records").rename(tmp_path / "elsewhere")
    again = Build(tmp_path)
    assert again.end()[0] == 0, again.said
    assert told(again, "the system packages ") == ["the system packages that the matrix names are installed"]
    assert host.run("stat -c %Y.%i /var/lib/dpkg/status") == changed


def test_a_package_that_there_is_none_of_ends_the_visit_with_apt_s_own_words(host: Host, tmp_path: Path) -> None:
    each = replace(needing_yaml(tmp_path), rules=Rules(system_packages=("libspam-dev",)))
    write_plan(tmp_path, host.instance(INSTANCE), each)
    build = Build(tmp_path)
    assert build.end()[0] == 3
    assert build.error == (
        "error: the ssh worker cannot be prepared (exit code 100): E: Unable to locate package libspam-dev"
    )


@pytest.mark.parametrize(
    ("package", "file", "rule"), [("sudo", "sudoers.d/packager", SUDO), ("opendoas", "doas.conf", DOAS)]
)
def test_a_user_who_becomes_root_without_a_password_installs(
    host: Host, tmp_path: Path, package: str, file: str, rule: str
) -> None:
    let_in(host, "packager")
    host.run(f"apt-get update && apt-get install -y {package} && echo '{rule}' >/etc/{file} && chmod 440 /etc/{file}")
    permitted = "for kind in auth account session; do echo $kind required pam_permit.so; done"
    host.run(f"cd /etc/pam.d; {permitted} | tee sudo doas >other")  # others' settings were never made
    write_plan(tmp_path, host.instance(INSTANCE, user="packager"), needing_yaml(tmp_path))
    build = Build(tmp_path)
    assert build.end()[0] == 0, build.said


def test_a_user_who_does_not_is_told_what_to_install(host: Host, tmp_path: Path) -> None:
    let_in(host, "packager")
    host.run("apt-get update && apt-get install -y sudo")  # which lets this user do nothing
    write_plan(tmp_path, host.instance(INSTANCE, user="packager"), needing_yaml(tmp_path), spam(tmp_path, "eggs"))
    build = Build(tmp_path)
    code, became = build.end()
    assert code == 1
    assert {name: each["outcome"] for name, each in became.items()} == {"spam": "failed", "eggs": "built"}
    assert became["spam"]["reason"].endswith(
        "(the matrix names these system packages for it, which are yours to install there: libyaml-dev)"
    )
    assert "\n".join(told(build, "system packages ")) == (
        "system packages that the matrix names, not installed, since that takes root: this is user 1000, "
        "and neither sudo nor doas lets it without a password: libyaml-dev"
    )


def test_an_interpreter_whose_headers_come_with_a_package_builds_in_the_same_visit(host: Host, tmp_path: Path) -> None:
    host.run("dpkg --remove --force-depends libpython3.11-dev; rm -r /usr/include/python3.11")
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path))
    build = Build(tmp_path)
    code, became = build.end()
    reason = became["spam"]["reason"]
    assert code == 1
    assert "/usr/bin/python3.11 has no Python.h in /usr/include/python3.11: " in reason
    assert reason.endswith(
        "; apt-get has the package python3.11-dev for it: install that, or name it in system_packages"
    )

    write_plan(
        tmp_path, host.instance(INSTANCE), replace(spam(tmp_path), rules=Rules(system_packages=("libpython3.11-dev",)))
    )
    build = Build(tmp_path)
    assert build.end()[0] == 0, build.said
    assert told(build, "interpreter: ") == ["interpreter: /usr/bin/python3.11"]


# ── The script, whatever the host ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.needs("shellcheck")
def test_shellcheck_finds_nothing_in_the_script(tmp_path: Path) -> None:
    values = {"system_packages": ["a b", "c"], "pythons": ["/a b", "/c"], "missing": ["cp39", "cp313t"]}
    script = tmp_path / "build_host.sh"
    script.write_text(render(BUILD_HOST, {**VALUES, **values}))
    done = subprocess.run(["shellcheck", "--shell=sh", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.needs("busybox")
@pytest.mark.parametrize("manager", PLATFORMS)
def test_busybox_s_shell_runs_it_as_others_do(manager: str, tmp_path: Path) -> None:
    platform = PLATFORMS[manager]
    ended = []
    for name, shell in (("one", ["sh"]), ("two", ["busybox", "sh"])):
        (tmp_path / name).mkdir()
        system = System(tmp_path / name, platform.programs)
        code, said = system.prepare(
            by=shell, may_install="can", system_packages=[EVIL, "libyaml", "rust"], missing=["cp312", "cp313t"]
        )
        assert code == 0
        ended.append(([line.replace(str(system.path), "") for line in said], system.ran(*platform.programs)))
    assert ended[0] == ended[1]
