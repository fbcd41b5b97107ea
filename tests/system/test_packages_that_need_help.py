"""The packages of ``docs/examples/packages-that-need-help.yml``, each from its plan to what it does when installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.matrixfile import parse

ROOT = Path(__file__).parents[2]
MATRIX = ROOT / "docs/examples/packages-that-need-help.yml"
PYTHONS = ("python3.11", "python3.13")
# What each does with the library that it was built for.
USES = {
    "greenlet": """
import greenlet
main = greenlet.getcurrent()
other = greenlet.greenlet(lambda: main.switch(6) * 7)
assert (other.switch(), other.switch(6)) == (6, 42)
""",
    "lxml": """
from lxml import etree
style = '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform">'
style += '<x:template match="/"><b><x:value-of select="1 + count(//a)"/></b></x:template></x:stylesheet>'
assert etree.XSLT(etree.XML(style))(etree.XML("<r><a/><a/></r>")).getroot().text == "3"
""",
    "numpy": """
import numpy
matrix = numpy.arange(9.0).reshape(3, 3) + numpy.eye(3)
assert numpy.allclose(numpy.linalg.inv(matrix) @ matrix, numpy.eye(3))
assert numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"] == "openblas"
""",
    "pillow": """
import io
from PIL import Image
for name in ("JPEG", "JPEG2000", "PNG", "TIFF", "WEBP"):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, name)
    assert Image.open(file).convert("RGB").getpixel((4, 4))[0] > 250, name
""",
    "psycopg2": """
import psycopg2
try:
    psycopg2.connect("host=127.0.0.1 port=1 connect_timeout=5")
except psycopg2.OperationalError as error:
    assert "refused" in str(error), error
else:
    raise AssertionError("somebody is there")
""",
    "pyzmq": """
import zmq
context = zmq.Context()
push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
pull.bind("inproc://x")
push.connect("inproc://x")
push.send(b"spam")
assert pull.recv() == b"spam"
""",
    "ruamel.yaml.clib": """
import io, ruamel.yaml
reader = ruamel.yaml.YAML(typ="safe", pure=False)
assert reader.load(io.StringIO("a: [1, 2]")) == {"a": [1, 2]}
assert reader.Parser is ruamel.yaml.cyaml.CParser
""",
}
BESIDE = {"ruamel.yaml.clib": "ruamel.yaml<0.19"}


@pytest.fixture(autouse=True)
def machine() -> None:
    """Skip where system packages cannot be installed, or an interpreter is missing; on a CI fail."""
    reasons = [f"{python} is not on PATH" for python in PYTHONS if shutil.which(python) is None]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        reasons.append("it takes root on Debian, to install what the packages need")
    if reasons and os.environ.get("CI") == "true":
        pytest.fail("; ".join(reasons), pytrace=False)
    if reasons:
        pytest.skip("; ".join(reasons))


def stage(name: str, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a stage in a folder, with a scratch root in it, as a user does."""
    dropped = ("TF_BUILD", "GITHUB_", "JOB_DATA", "SOURCE_DATE_EPOCH", "SPARE_TIRE_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    (folder / "tmp").mkdir(exist_ok=True)
    told = {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), "UV_SYSTEM_CERTS": "1"}
    command = [sys.executable, "-m", f"tasks.{name}", *argv]
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)


def install(environment: Path, *argv: str, **variables: str) -> None:
    """Install wheels, without what they require."""
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary", ":all:", *argv],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_of_the_example_is_tried() -> None:
    assert {package.name for package in parse(MATRIX.read_bytes(), MATRIX).packages} == set(USES)


@pytest.mark.parametrize("package", USES)
def test_a_package_that_needs_help_is_built_and_does_its_work(package: str, tmp_path: Path) -> None:
    index = ["--matrix", str(MATRIX), "--index", str(tmp_path / "index")]
    planned = stage("plan", tmp_path, *index, "--package", package)
    assert planned.returncode == 0, planned.stderr
    built = stage("build", tmp_path, "--install-system-packages", "--json")
    assert built.returncode == 0, built.stderr
    assert [each["outcome"] for each in json.loads(built.stdout)["actions"]] == ["built", "built"]
    published = stage("publish", tmp_path, *index, "--require-records")
    assert published.returncode == 0, published.stderr

    for python in PYTHONS:
        environment = tmp_path / python
        subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
        ours = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_NO_CACHE_DIR": "1"}
        install(environment, "--index-url", f"file://{tmp_path}/index/simple", package, **ours)
        if package in BESIDE:
            install(environment, BESIDE[package])
        done = subprocess.run(
            [environment / "bin/python", "-c", USES[package]], stderr=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
