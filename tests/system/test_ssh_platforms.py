"""Hosts of other kinds: another processor, another user, a login shell that is none of sh's kin, interpreters apart."""

from __future__ import annotations

import struct
import subprocess
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import BadInput, ServiceFailed
from tasks.core.matrix import Rules
from tasks.core.plan import Plan
from tasks.workers.ssh import AGENT, SshWorker, opening
from tests.builds import action, pack
from tests.system.hosts import Host, make_host
from tests.system.ssh_stage import INSTANCE, PYTHON, Build, spam, write_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tasks.core.actions import Action

AARCH64 = 183  # EM_AARCH64 of <elf.h>
# A backend that needs nothing but a compiler: setuptools would take an index that the host can reach.
BACKEND = """
import base64, hashlib, os, subprocess, sysconfig, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    platform = sysconfig.get_platform().replace("-", "_")
    include = sysconfig.get_path("include")
    subprocess.run(["cc", "-shared", "-fPIC", "-I" + include, "fast.c", "-o", "fast.so"], check=True)
    tag, info = "cp311-cp311-" + platform, "fast-1.0.dist-info/"
    files = {
        "fast" + sysconfig.get_config_var("EXT_SUFFIX"): open("fast.so", "rb").read(),
        info + "METADATA": b"Metadata-Version: 2.1\\nName: fast\\nVersion: 1.0\\n",
        info + "WHEEL": b"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: " + tag.encode() + b"\\n",
    }
    rows = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows += "%s,sha256=%s,%d\\n" % (name, digest, len(data))
    path = "fast-1.0-%s.whl" % tag
    with zipfile.ZipFile(os.path.join(directory, path), "w") as archive:
        for name, data in {**files, info + "RECORD": rows + info + "RECORD,,\\n"}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path
"""
FAST = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", "", -1};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture(scope="module")
def arm(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    """Return a host that is emulated."""
    with make_host("arm64") as turned_on:
        yield turned_on


def fast(folder: Path, arch: str) -> Action:
    """Return the action of a C extension for a processor."""
    sdist = pack(folder / "sdists", "fast", "1.0", {"pyproject.toml": PYPROJECT, "backend.py": BACKEND, "fast.c": FAST})
    each = action(sdist, python=PYTHON, instance=INSTANCE)
    return replace(each, arch=arch, wheel=replace(each.wheel, platforms=(f"linux_{arch}",)))


@pytest.mark.needs("qemu-aarch64-static")
def test_one_instance_is_two_hosts_and_each_builds_for_its_processor(arm: Host, host: Host, tmp_path: Path) -> None:
    of = {"x86_64": host, "aarch64": arm}
    named = [each.instance(f"{INSTANCE},arch={arch}") for arch, each in of.items()]
    actions = tuple(fast(tmp_path, arch) for arch in sorted(of))
    plan = Plan(matrix="0" * 64, instances={each.name: each for each in named}, actions=actions)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/plan.json").write_bytes(plan.to_json())

    build = Build(tmp_path)
    assert build.end(300)[0] == 0, build.said

    machines = {}
    for path in tmp_path.glob("dist/wheels/*.whl"):
        with zipfile.ZipFile(path) as wheel:
            (module,) = [name for name in wheel.namelist() if name.endswith(".so")]
            machines[path.name] = struct.unpack_from("<H", wheel.read(module), 18)[0]
    assert machines == {"fast-1.0-cp311-cp311-linux_aarch64.whl": AARCH64, "fast-1.0-cp311-cp311-linux_x86_64.whl": 62}


@pytest.mark.needs("qemu-aarch64-static")
def test_a_machine_that_cannot_be_had_costs_the_others_nothing(arm: Host, host: Host, tmp_path: Path) -> None:
    of = {
        "x86_64": host.instance(f"{INSTANCE},arch=x86_64"),
        "aarch64": arm.instance(f"{INSTANCE},arch=aarch64", port=23),
    }
    actions = tuple(fast(tmp_path, arch) for arch in sorted(of))
    plan = Plan(matrix="0" * 64, instances={each.name: each for each in of.values()}, actions=actions)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/plan.json").write_bytes(plan.to_json())

    build = Build(tmp_path)
    code, became = build.end()

    assert (code, became["fast"]["outcome"]) == (3, "built"), build.said
    assert build.error.startswith(f"error: debian/12,arch=aarch64: {arm.address} cannot be reached by ssh: ")
    assert [path.name for path in tmp_path.glob("dist/wheels/*")] == ["fast-1.0-cp311-cp311-linux_x86_64.whl"]


def test_a_user_who_is_not_root_has_a_place_of_its_own_and_installs_nothing(host: Host, tmp_path: Path) -> None:
    host.run(
        "chmod 755 /root /etc/ssh; chmod 644 /etc/ssh/fixture_keys; touch /var/log/commands; chmod 666 /var/log/commands"
    )
    write_plan(tmp_path, host.instance(INSTANCE, user="packager"), spam(tmp_path))
    with SshWorker(host.instance(INSTANCE, user="packager"), "x86_64") as worker:
        assert worker.root.rpartition("-")[2] == "1000"
    assert Build(tmp_path).end()[0] == 0


@pytest.mark.needs("shellcheck")
@pytest.mark.parametrize("script", [opening("remote-visit-1", ["/a b"]), AGENT.read_text()], ids=["opening", "agent"])
def test_shellcheck_finds_nothing_in_what_a_host_reads(script: str) -> None:
    command = ["shellcheck", "--shell=sh", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_login_shell_of_another_kin_is_the_host_s_own_business(host: Host, tmp_path: Path) -> None:
    """A csh reads another language, also between single quotes: ``!`` is one of its words."""
    host.run("sed -i s,:/bin/sh$,:/bin/tcsh, /etc/passwd")
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path))
    assert Build(tmp_path).end()[0] == 0
    (tmp_path / "foo-1!2.0's.patch").write_bytes(b"data")
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        worker.get(worker.put(tmp_path / "foo-1!2.0's.patch", "sources/foo-1!2.0's.patch"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"data"


def test_a_login_shell_that_prints_something_is_named_before_anything_is_built(host: Host, tmp_path: Path) -> None:
    host.run("sed -i s,:/bin/sh$,:/bin/tcsh, /etc/passwd; echo 'echo welcome to this host' >~root/.cshrc")
    write_plan(tmp_path, host.instance(INSTANCE), spam(tmp_path))
    build = Build(tmp_path)

    assert build.end() == (3, {})

    assert build.error == (
        f"error: debian/12,arch=x86_64: the login shell of {host.address} prints 'welcome to this host' "
        "where nobody is to read it; let it say that in interactive sessions alone"
    )
    assert [command for command in host.commands() if " store " in command or " run " in command] == []


def test_a_place_that_others_could_have_written_in_is_not_used(host: Host) -> None:
    host.run("mkdir -m 755 /tmp/spare-tire-0")
    with pytest.raises(
        ServiceFailed,
        match=r"cannot be reached by ssh: the scratch directory /tmp/spare-tire-0 is not a directory of this user alone",
    ):
        SshWorker(host.instance(INSTANCE), "x86_64").__enter__()


def test_an_interpreter_that_is_not_on_path_is_named_by_the_matrix(host: Host) -> None:
    host.run("mkdir -p /opt/python; mv /usr/bin/python3.11 /opt/python; rm -f /usr/bin/python3")
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        assert worker.pythons() == []
    instance = host.instance(INSTANCE, python={"cp311": "/opt/python/python3.11"})
    with SshWorker(instance, "x86_64") as worker:
        assert worker.python_for(PYTHON) == "/opt/python/python3.11"


def test_the_plan_s_processor_is_compared_as_systems_name_it(host: Host) -> None:
    with SshWorker(host.instance(INSTANCE), "amd64") as worker:
        assert worker.root.endswith("/spare-tire-0")
    with pytest.raises(BadInput, match=r"has the processor x86_64, expected riscv64"):
        SshWorker(host.instance(INSTANCE), "riscv64").__enter__()


def test_the_matrix_values_reach_the_host_as_values(host: Host, tmp_path: Path) -> None:
    """The name of a patch and a variable's value are the texts that could do most harm."""
    evil = "x'; touch $(echo /tmp/harm); '\" `touch /tmp/harm` .patch"
    check = f"assert os.environ['EVIL'] == {evil!r}"
    each = replace(spam(tmp_path, before=check), rules=Rules(env={"EVIL": evil}))
    write_plan(tmp_path, host.instance(INSTANCE), each)

    assert Build(tmp_path).end()[0] == 0

    (tmp_path / evil.replace("/", "_")).write_bytes(b"data")
    with SshWorker(host.instance(INSTANCE), "x86_64") as worker:
        worker.put(tmp_path / evil.replace("/", "_"), "sources/x")
    assert host.run("ls /tmp").split() == ["spare-tire-0"]
