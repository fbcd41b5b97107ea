from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from packaging.utils import canonicalize_name

from tasks.core.document import Listing, Mapping, Scalar
from tasks.core.errors import BadInput
from tasks.core.matrix import Matrix, digest, flat, wanted
from tasks.core.matrix_shape import schema
from tasks.core.settings import Policy, Settings, Status
from tasks.core.targets import LocalTarget, Machine, PythonTag, Target
from tasks.matrixfile import parse, read_yaml, to_yaml

ROOT = Path(__file__).parent.parent
MACHINE = Machine(
    arch="x86_64",
    platform="linux_x86_64",
    accepts=("manylinux_2_36_x86_64", "linux_x86_64"),
    pythons=(PythonTag.parse("cp311"), PythonTag.parse("cp313")),
)
COMPACT = """\
instances:
  local: {worker: local}
targets:
  host: {instance: local}
  freebsd: {instance: freebsd/15.1, arch: x86_64, platform_tag: freebsd_15_1_release_amd64, python: [cp312, cp314]}
packages:
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "m.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(path: Path) -> Matrix:
    return parse(path.read_bytes(), path)


def problems(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load(write(folder, text))
    return [message.replace(f"{folder}/", "") for message in caught.value.messages]


def test_a_tree_keeps_text_and_lines(tmp_path: Path) -> None:
    assert read_yaml(b"a: 1.10\nb: [on, 'true']\n", tmp_path) == Mapping(
        line=1,
        entries=(
            (Scalar(text="a", plain=True, line=1), Scalar(text="1.10", plain=True, line=1)),
            (
                Scalar(text="b", plain=True, line=2),
                Listing(
                    line=2, items=(Scalar(text="on", plain=True, line=2), Scalar(text="true", plain=False, line=2))
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.yml:1: the file is empty, expected a mapping with the key packages"),
        (b"a: \xff\n", "m.yml:1: not UTF-8: found the byte 0xff"),
        ("a:\n\tb: c\n", "m.yml:2: the line is indented with a tab, which YAML does not allow; use spaces"),
        ("a: [1\n", "m.yml:2: not YAML: did not find expected ',' or ']'"),
        ("a: 1\na: 2\n", "m.yml:2: a: the key is there already, in line 1"),
        ("a: &x 1\nb: 2\n", "m.yml:1: YAML aliases, anchors and tags are not used here; write the value out"),
        ("a: !!str 1\n", "m.yml:1: YAML aliases, anchors and tags are not used here; write the value out"),
        ("a: 1\nb: \x07\n", "m.yml:2: not YAML: unacceptable character #x0007: control characters are not allowed"),
        ("a: " + "[" * 3000 + "]" * 3000, "m.yml:1: lists and mappings are nested more than 50 deep"),
        ("? [a]\n: 1\n", "m.yml:1: the file: a key must be text, found a list or a mapping"),
        ("a: 1\n---\nb: 2\n", "m.yml:2: not YAML: but found another document"),
        ("a: \x07\n", "m.yml:1: not YAML: unacceptable character #x0007: control characters are not allowed"),
    ],
)
def test_what_is_no_sound_yaml_is_refused_by_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert problems(tmp_path, text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("packges: {}\n", "m.yml:1: packges: unknown key; did you mean 'packages'?"),
        ("packages: [a]\n", "m.yml:1: packages: expected a mapping of packages, found a list"),
        (
            f"{COMPACT}  x: latest\n",
            "m.yml:7: packages.x: expected a list of versions, or a mapping with the key versions, found 'latest'",
        ),
        (f"{COMPACT}  x: []\n", "m.yml:7: packages.x: expected a list of versions, found an empty list"),
        (
            f"{COMPACT}  x: [six]\n",
            "m.yml:7: packages.x[0]: expected latest, a version or a specifier, found 'six'",
        ),
        (
            f"{COMPACT}  x: ['=>1']\n",
            "m.yml:7: packages.x[0]: expected latest, a version or a specifier, found '=>1'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], abi: abi4}}\n",
            "m.yml:7: packages.x.abi: expected a stable ABI, found 'abi4': one of abi3",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{constraints: ['Cython<']}}}}\n",
            (
                "m.yml:7: packages.x.build.constraints[0]: expected a requirement as PEP 508 writes it, found 'Cython<': "
                "Expected semicolon (after name with no version specifier) or end"
            ),
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{when: '6'}}}}\n",
            "m.yml:7: packages.x.build.when: expected a specifier such as >=5.4,<=6.0, found '6'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{native: yes}}}}\n",
            "m.yml:7: packages.x.build.native: expected true or false, found 'yes'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{revision: 0}}}}\n",
            "m.yml:7: packages.x.build.revision: expected a whole number (at least 1), found '0'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{env: {{1A: b}}}}}}\n",
            "m.yml:7: packages.x.build.env.1A: expected the name of an environment variable, found '1A'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], targets: [windows-*]}}\n",
            "m.yml:7: packages.x: no target is named 'windows-*' (there are host, freebsd)",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], sdist: 'https://x.example/x-1.tar.gz'}}\n",
            "m.yml:7: packages.x.sdist: expected URL#sha256= and 64 hex digits, found 'https://x.example/x-1.tar.gz'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{constraints: ['y @ https://y.example/y.zip']}}}}\n",
            "m.yml:7: packages.x.build.constraints[0]: expected a requirement as PEP 508 writes it, found 'y @ https://y.example/y.zip': installers run outside the sandbox, so they get no URL",
        ),
        (
            f'{COMPACT}  x: {{versions: [latest], build: {{env: {{A: "x\\0y"}}}}}}\n',
            "m.yml:7: packages.x.build.env.A: expected text, found 'x\0y': it has a NUL character",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{revision: {'9' * 5000}}}}}\n",
            f"m.yml:7: packages.x.build.revision: expected a whole number, found '{'9' * 100}…'",
        ),
        (
            f"{COMPACT}  x: {{versions: [latest], build: {{on: hots}}}}\n",
            "m.yml:7: packages.x: build: no target is named 'hots' (there are host, freebsd)",
        ),
        (
            f"{COMPACT}  x: {{versions: {{'1': {{wheels: []}}}}, abi: abi3}}\n",
            "m.yml:7: packages.x: the key 'abi' has no effect on the flat form, where each wheel says its own",
        ),
        (
            "public_index: https://u:pw@index.example/simple\npackages: {}\n",
            "m.yml:1: public_index: expected a directory or a URL without credentials, found 'https://u:pw@index.example/simple': a password does not belong in this file; netrc and PIP_INDEX_URL are for that",
        ),
        (
            f"{COMPACT}  x_y: [latest]\n  X-Y: [latest]\n",
            "m.yml:8: packages.X-Y: the package is there already, as x_y (PEP 503)",
        ),
        (
            f"{COMPACT}  'a b': [latest]\n",
            "m.yml:7: packages.a b: expected a project's name, found 'a b'",
        ),
        (
            "packages:\n  x: [latest]\n",
            "m.yml:2: packages.x: the package names no target: declare some under targets, or give its versions in the flat form",
        ),
        (
            "targets:\n  t: {arch: x86_64}\npackages: {x: [latest]}\n",
            "m.yml:2: targets.t: the key 'instance' is missing, and no instances are declared of which one could fit",
        ),
        (
            "targets:\n  t: {instance: locl}\ninstances: {local: {worker: local}}\npackages: {x: [latest]}\n",
            "m.yml:2: targets.t: unknown instance 'locl'; did you mean 'local'?",
        ),
        (
            "instances:\n  a: {worker: cloud}\npackages: {}\n",
            "m.yml:2: instances.a.worker: expected a kind of worker, found 'cloud': one of local, core-ci, ssh",
        ),
        (
            "instances:\n  a: {worker: ssh}\npackages: {}\n",
            "m.yml:2: instances.a: the key 'host' is missing: an ssh worker is a host",
        ),
        (
            "instances:\n  a: {worker: core-ci, port: 22}\npackages: {}\n",
            "m.yml:2: instances.a: the key 'port' has no effect: it is for ssh workers, and this is a core-ci one",
        ),
        (
            "instances:\n  a: {worker: ssh, host: x, remote_stage: dev}\npackages: {}\n",
            "m.yml:2: instances.a: the key 'remote_stage' has no effect: it is for core-ci workers, and this is a ssh one",
        ),
        (
            "instances:\n  a: {worker: local, python: {cp312: /x}}\npackages: {}\n",
            "m.yml:2: instances.a: the key 'python' has no effect: it is for core-ci and ssh workers, and this is a local one",
        ),
        (
            "instances:\n  a/1: {worker: core-ci, remote_endpoint: http://ci.example}\npackages: {}\n",
            "m.yml:2: instances.a/1.remote_endpoint: expected a URL that begins with https://, or http:// on loopback, found 'http://ci.example'",
        ),
        (
            "instances:\n  a/1: {worker: core-ci, remote_stage: test}\npackages: {}\n",
            "m.yml:2: instances.a/1.remote_stage: expected a stage, found 'test': one of prod, dev",
        ),
        (
            "instances:\n  a: {worker: ssh, host: -oProxyCommand=x}\npackages: {}\n",
            "m.yml:2: instances.a.host: expected a host's name or address, found '-oProxyCommand=x'",
        ),
        (
            "instances:\n  a: {worker: ssh, host: h, user: -l}\npackages: {}\n",
            "m.yml:2: instances.a.user: expected a user's name, found '-l'",
        ),
        (
            "instances:\n  a: {worker: ssh, host: h, jump: -x}\npackages: {}\n",
            "m.yml:2: instances.a.jump: expected hosts to go through: [USER@]HOST[:PORT], separated by commas, found '-x'",
        ),
        (
            "instances:\n  a: {worker: ssh, host: h, port: 65536}\npackages: {}\n",
            "m.yml:2: instances.a.port: expected a port's number (at most 65535), found '65536'",
        ),
        (
            "instances:\n  a: {worker: ssh, host: h, host_key: 'SHA256:abc'}\npackages: {}\n",
            "m.yml:2: instances.a.host_key: expected a public key, TYPE BASE64, as in known_hosts, found 'SHA256:abc'",
        ),
        (
            "instances:\n  a: {worker: ssh, host: h, python: {cp312: python3.12}}\npackages: {}\n",
            "m.yml:2: instances.a.python.cp312: expected an absolute path of letters, digits and '._+-', found 'python3.12'",
        ),
        (
            "instances: {'a,arch=x86_64': {worker: ssh, host: h}}\ntargets:\n  t: {instance: a, arch: aarch64, platform_tag: p, python: [cp312]}\npackages: {}\n",
            "m.yml:3: targets.t: the instance 'a' is not declared for aarch64, only as a,arch=x86_64",
        ),
        (
            "targets:\n  t: {instance: a/1, arch: x, platform_tag: bad-tag, python: [cp3]}\npackages: {}\n",
            (
                "m.yml:2: targets.t.platform_tag: expected a platform tag, found "
                "'bad-tag': a platform tag looks like freebsd_15_1_release_amd64: letters, digits and underscores"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_named_by_line_and_key_path(tmp_path: Path, text: str, message: str) -> None:
    assert problems(tmp_path, text)[0] == message


def test_an_instance_may_be_declared_for_one_processor(tmp_path: Path) -> None:
    text = """\
instances:
  debian/12: {worker: ssh, host: any.example}
  "debian/12,arch=aarch64": {worker: ssh, host: arm.example, user: me}
targets:
  x86: {instance: debian/12, arch: x86_64, platform_tag: linux_x86_64, python: [cp312]}
  arm: {instance: debian/12, arch: aarch64, platform_tag: linux_aarch64, python: [cp312]}
packages: {x: [latest]}
"""
    matrix = load(write(tmp_path, text))
    assert matrix.instance("debian/12", "x86_64").host == "any.example"
    assert matrix.instance("debian/12", "aarch64").host == "arm.example"
    assert load(write(tmp_path, to_yaml(flat(matrix, None)))).instances == matrix.instances


def test_all_problems_are_reported_in_one_go_by_line(tmp_path: Path) -> None:
    text = "index: [a]\ntargets:\n  t: {instance: 5 5, pithon: [x]}\npackages:\n  x: [latest, '1..2']\n  y: 3\n"
    assert problems(tmp_path, text) == [
        "m.yml:1: index: expected a directory or a URL without credentials, found a list",
        "m.yml:3: targets.t.pithon: unknown key; did you mean 'python'?",
        "m.yml:3: targets.t.instance: expected an instance such as local or freebsd/15.1, found '5 5'",
        "m.yml:5: packages.x[1]: expected latest, a version or a specifier, found '1..2'",
        "m.yml:6: packages.y: expected a list of versions, or a mapping with the key versions, found '3'",
    ]


def test_a_target_that_is_not_this_machine_says_its_platform(tmp_path: Path) -> None:
    assert problems(tmp_path, "targets:\n  t: {instance: a/1}\npackages: {x: [latest]}\n") == [
        f"m.yml:2: targets.t: the key '{key}' is missing: only a target whose instance is local may leave it out"
        for key in ("arch", "platform_tag", "python")
    ]


def test_the_flat_form_is_read_as_users_have_it(tmp_path: Path) -> None:
    matrix = load(
        write(
            tmp_path,
            """\
packages:
  PyYAML:
    versions:
      1.10:
        wheels:
        - platform_tag: freebsd_15_1_RELEASE_amd64
          platform_instance: freebsd/15.1
          platform_arch: x86_64
          python:
          - tag: cp314
            abi: abi3
""",
        )
    )
    (only,) = wanted(matrix, None)
    assert (only.package, only.text, only.upstream) == ("PyYAML", "1.10", False)
    assert only.python == PythonTag(version=(3, 14), abi="abi3")
    assert only.target == Target(
        name="freebsd_15_1_release_amd64",
        instance="freebsd/15.1",
        arch="x86_64",
        platforms=("freebsd_15_1_release_amd64",),
        pythons=(PythonTag(version=(3, 14), abi="abi3"),),
    )
    assert matrix.instance("freebsd/15.1").worker == "core-ci"


def test_a_target_without_platform_tag_is_this_machine(tmp_path: Path) -> None:
    matrix = load(write(tmp_path, f"{COMPACT}  x: [latest]\n"))
    assert matrix.targets["host"] == LocalTarget(name="host", instance="local", arch=None, platforms=None, pythons=None)
    host = [each for each in wanted(matrix, MACHINE) if each.target.name == "host"]
    assert [each.python.tag for each in host] == ["cp311", "cp313"]
    assert host[0].target.platforms == ("linux_x86_64",)


def test_abi3_is_one_wheel_for_the_lowest_interpreter_of_each_target(tmp_path: Path) -> None:
    matrix = load(write(tmp_path, f"{COMPACT}  x: {{versions: [latest], abi: abi3}}\n"))
    assert [(each.target.name, each.python.interpreter, each.python.abi) for each in wanted(matrix, MACHINE)] == [
        ("host", "cp311", "abi3"),
        ("freebsd", "cp312", "abi3"),
    ]


def test_some_versions_may_be_for_some_targets(tmp_path: Path) -> None:
    matrix = load(write(tmp_path, f"{COMPACT}  x: [latest, {{versions: [2, 1.5], targets: [free*]}}]\n"))
    assert [(each.text, each.target.name, each.python.tag) for each in wanted(matrix, MACHINE)] == [
        ("latest", "host", "cp311"),
        ("latest", "host", "cp313"),
        ("latest", "freebsd", "cp312"),
        ("latest", "freebsd", "cp314"),
        ("2", "freebsd", "cp312"),
        ("2", "freebsd", "cp314"),
        ("1.5", "freebsd", "cp312"),
        ("1.5", "freebsd", "cp314"),
    ]


def test_the_shipped_matrix_asks_for_108_freebsd_wheels_and_four_packages_of_this_machine() -> None:
    asked = wanted(load(ROOT / "wheel_matrix.yml"), MACHINE)
    assert sum(each.target.name.startswith("freebsd-") for each in asked) == 108
    assert {each.package for each in asked if each.target.name == "host"} == {
        "MarkupSafe",
        "PyYAML",
        "lazy-object-proxy",
        "coverage",
    }


def test_the_flat_form_of_a_matrix_means_the_same(tmp_path: Path) -> None:
    compact = load(ROOT / "wheel_matrix.yml")
    written = load(write(tmp_path, to_yaml(flat(compact, MACHINE))))
    assert digest(written, MACHINE) == digest(compact, MACHINE)
    assert len(wanted(written, MACHINE)) == len(wanted(compact, MACHINE))


@pytest.mark.parametrize("name", ["wheel_matrix.yml"])
def test_the_schema_takes_what_the_reader_takes(name: str) -> None:
    matrix = load(ROOT / name)
    checker = jsonschema.Draft202012Validator(schema())
    checker.check_schema(schema())
    checker.validate(json.loads(json.dumps(flat(matrix, MACHINE))))


def test_the_schema_refuses_an_unknown_key() -> None:
    (error,) = jsonschema.Draft202012Validator(schema()).iter_errors({"packages": {}, "packges": {}})
    assert error.message == "Additional properties are not allowed ('packges' was unexpected)"


def test_the_committed_schema_is_the_one_of_the_types() -> None:
    assert json.loads((ROOT / "docs/wheel_matrix.schema.json").read_text()) == schema()


SET = """\
  Demo.One:
    versions: [latest]
    status: {state: archived, reason: moved}
    tracks: [https://a.example.test/simple/demo-one/]
    alternate_locations: [https://b.example.test/demo_one]
"""


def test_what_the_index_is_to_say_of_a_package_is_its_policy(tmp_path: Path) -> None:
    matrix = load(write(tmp_path, f"index_url: https://wheels.example.test/team\n{COMPACT}{SET}  other: [latest]\n"))

    assert matrix.policy == Policy(
        projects={
            canonicalize_name("Demo.One"): Settings(
                status=Status(state="archived", reason="moved"),
                tracks=("https://a.example.test/simple/demo-one/",),
                alternate_locations=("https://b.example.test/demo_one",),
            ),
            canonicalize_name("other"): Settings(),
        },
        index_url="https://wheels.example.test/team/",
    )


def test_it_is_in_the_flat_form_too_and_the_schema_takes_it(tmp_path: Path) -> None:
    matrix = load(write(tmp_path, f"index_url: http://127.0.0.1:8000\n{COMPACT}{SET}"))
    document = flat(matrix, MACHINE)

    assert load(write(tmp_path, to_yaml(document))).policy == matrix.policy
    jsonschema.Draft202012Validator(schema()).validate(json.loads(json.dumps(document)))


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            "status: {state: gone}",
            (
                "packages.x.status.state: expected a project's status, found 'gone': "
                "one of active, archived, quarantined, deprecated"
            ),
        ),
        ("status: archived", "packages.x.status: expected a mapping with the keys state and reason, found 'archived'"),
        ("status: {reason: r}", "packages.x.status: the key 'state' is missing: the status marker"),
        ("tracks: [/simple/x/]", "packages.x.tracks[0]: expected an absolute URL, found '/simple/x/'"),
        (
            "tracks: [https://a.example.test/simple/]",
            "packages.x: tracks: https://a.example.test/simple/ is not the page of x at another index, as PEP 708 asks for",
        ),
        (
            "alternate_locations: [https://a.example.test/y/]",
            (
                "packages.x: alternate_locations: https://a.example.test/y/ is not the page of x at another index, "
                "as PEP 708 asks for"
            ),
        ),
    ],
)
def test_what_the_peps_do_not_allow_is_named_by_line_and_key_path(tmp_path: Path, package: str, message: str) -> None:
    assert problems(tmp_path, f"{COMPACT}  x: {{versions: [latest], {package}}}\n") == [f"m.yml:7: {message}"]


@pytest.mark.parametrize(
    "url", ["http://wheels.example.test/", "dist/index", "https://u:p@x.example.test/", "http://localhost.evil.test/"]
)
def test_the_indexs_address_is_of_a_secure_origin(tmp_path: Path, url: str) -> None:
    assert problems(tmp_path, f"index_url: {url}\n{COMPACT}  x: [latest]\n") == [
        f"m.yml:1: index_url: expected a URL that begins with https://, or http:// on loopback, found '{url}'"
    ]
