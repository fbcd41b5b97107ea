from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import matrixcache, matrixfile
from tasks.core.errors import BadInput
from tasks.core.matrix import Matrix, digest

ROOT = Path(__file__).parent.parent
EVERYTHING = """\
index: dist/index
public_index: https://public.example/simple
index_url: https://wheels.example/
cooldown: 7d
instances:
  local: {worker: local, agent: ubuntu-24.04}
  freebsd/15.1:
    worker: core-ci
    remote_endpoint: https://ci.example/api
    remote_stage: dev
    remote_provider: azure
    remote_timeout: 45m
    python: {cp314: /opt/python/bin/python3.14}
  debian/12:
    worker: ssh
    host: build.example
    port: 2222
    user: builder
    identity_file: keys/builder
    host_key: [ssh-ed25519 AAAA, ssh-rsa BBBB==]
    jump: "me@gate.example:22"
    python: {cp312: /opt/python/bin/python3.12}
targets:
  host: {instance: local, upstream: ignore}
  mac: {instance: local, arch: arm64, platform_tag: macosx_11_0_arm64, python: [cp313t]}
  freebsd:
    instance: freebsd/15.1
    arch: x86_64
    platform_tag: [freebsd_15_1_release_amd64, freebsd_15_1_release_p2_amd64]
    python: [cp312, cp314]
    build: {system_packages: [libyaml], env: {MAKE: gmake}}
components:
  buildroot: mono
  root: mono/src/main/python
  version_file: mono/.version
  requirements: mono/third/requirements.txt
  dependants: [mono/src/test/python]
  waivers:
  - {component: a.b.c, rule: R3, reason: generated code}
packages:
  a: [latest, "1.10"]
  b:
    versions: ["~=2.0"]
    abi: abi3
    upstream: ignore
    targets: ["free*"]
    build:
    - {when: "<2.1", on: "free*", constraints: ["Cython<3"], build_requires: [x], patches: [x.patch], timeout: 2h}
    - {config_settings: {-C: [1, "{python_tag}"]}, native: true, network: true, revision: 3}
    check: {import: [b], requires: ["c<2"], run: "true"}
    status: {state: archived, reason: enough}
    tracks: ["https://index.example/b/"]
    alternate_locations: ["https://other.example/b/"]
  c: {versions: [3], sdist: "https://files.example/c-3.tar.gz#sha256=DIGEST"}
  d:
    versions:
      latest:
        wheels:
        - {platform_tag: a_1.a_2, platform_instance: a/1, platform_arch: x86_64, python: [{tag: cp314, abi: abi3}]}
""".replace("DIGEST", "0" * 64)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.yml"
    path.write_text(EVERYTHING, encoding="utf-8")
    return path


def parsed(file: Path) -> Matrix:
    return matrixfile.parse(file.read_bytes(), file)


def test_what_is_kept_is_equal_to_what_is_read(file: Path, tmp_path: Path) -> None:
    first = matrixcache.load(file, tmp_path / "cache")
    again = matrixcache.load(file, tmp_path / "cache")

    assert again == first
    assert again.matrix == parsed(file)
    assert again.matrix.cooldown == 7 * 24 * 3600


def test_the_digest_is_kept_where_the_matrix_does_not_mean_this_machine(file: Path, tmp_path: Path) -> None:
    assert matrixcache.load(file, tmp_path / "cache").digest is None

    local = (
        "host: {instance: local, upstream: ignore}",
        "mac: {instance: local, arch: arm64, platform_tag: macosx_11_0_arm64, python: [cp313t]}",
    )
    file.write_text(EVERYTHING.replace(local[0], "").replace(local[1], ""), encoding="utf-8")
    for _ in range(2):
        assert matrixcache.load(file, tmp_path / "cache").digest == digest(parsed(file), None)


def test_a_matrix_that_did_not_change_is_not_parsed(file: Path, tmp_path: Path) -> None:
    matrixcache.load(file, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    before = kept.stat().st_ino

    matrixcache.load(file, tmp_path / "cache")
    assert kept.stat().st_ino == before  # what is parsed is written

    file.write_text(EVERYTHING + "# more\n", encoding="utf-8")
    matrixcache.load(file, tmp_path / "cache")
    assert kept.stat().st_ino != before


def test_a_change_shows(file: Path, tmp_path: Path) -> None:
    matrixcache.load(file, tmp_path / "cache")
    file.write_text(EVERYTHING.replace("1.10", "1.11"), encoding="utf-8")

    assert matrixcache.load(file, tmp_path / "cache").matrix == parsed(file)


def test_the_parsing_code_is_part_of_what_a_matrix_is_made_of() -> None:
    listed = "import sys, tasks.matrixcache, tasks.matrixfile; print(*(name for name in sys.modules if name.startswith('tasks.')))"
    ran = subprocess.run([sys.executable, "-c", listed], cwd=ROOT, check=True, capture_output=True, text=True)
    imported = {f"{name.removeprefix('tasks.').replace('.', '/')}.py" for name in ran.stdout.split()}

    assert imported - {"core.py", "core/errors.py"} == set(matrixcache.READERS)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}\n{}", b"\xff"])
def test_a_damaged_cache_is_none(file: Path, tmp_path: Path, damage: bytes) -> None:
    first = matrixcache.load(file, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()

    for broken in (damage, whole[:-5], whole.replace(b"Cython<3", b"Cython<2")):
        kept.write_bytes(broken)
        assert matrixcache.load(file, tmp_path / "cache") == first
        assert kept.read_bytes() == whole


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yml: there is no such file; name one with --matrix"):
        matrixcache.load(tmp_path / "none.yml", tmp_path / "cache")


def test_an_error_is_the_same_each_time(file: Path, tmp_path: Path) -> None:
    file.write_text("packages: {x: [latst]}\n", encoding="utf-8")
    said = []
    for _ in range(2):
        with pytest.raises(BadInput) as caught:
            matrixcache.load(file, tmp_path / "cache")
        said.append(caught.value.messages)

    assert said[0] == said[1]
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_no_failure(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"in the way")

    assert matrixcache.load(file, tmp_path / "cache").matrix == parsed(file)
