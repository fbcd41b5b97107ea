"""Where a plan has wheels built: the first instance that is the target, or a refusal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tasks import plan
from tasks.core.plan import Plan
from tasks.services.interpreters import this_machine
from tests.plans import Here, folder_to_plan_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PYTHONS = ["cp311", "cp312"]
ARM = {"os": "linux", "arch": "aarch64", "libc": "glibc", "libc_version": 2.36, "python": PYTHONS}
INSTANCES: dict[str, Any] = {
    "amd": {"worker": "ssh", "host": "amd", "properties": {**ARM, "arch": "x86_64"}},
    "arm": {"worker": "ssh", "host": "arm", "properties": ARM},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    made = folder_to_plan_in(tmp_path, monkeypatch)
    made.serve("x", "x-1.0.tar.gz")
    return made


def ask(here: Here, targets: dict[str, str], instances: dict[str, Any] = INSTANCES, **said: Any) -> None:  # noqa: ANN401
    """Ask for X on targets, each given by its platform tag."""
    matrix = {
        "public_index": f"file://{here.public}",
        "instances": instances,
        "targets": {
            name: {"arch": platform.split("_", 3)[-1], "platform_tag": platform, "python": ["cp312"], **said}
            for name, platform in targets.items()
        },
        "packages": {"X": {"versions": ["latest"], "upstream": "ignore"}},
    }
    here.matrix.write_text(json.dumps(matrix))  # JSON is YAML


def placed(here: Here) -> dict[str, str]:
    """Return by target where its wheel is built."""
    made = Plan.from_json(here.plan.read_bytes(), "plan.json")
    return {action.target: f"{action.instance} {action.arch}" for action in made.actions}


TWO = {"linux-amd64": "manylinux_2_39_x86_64", "linux-arm64": "manylinux_2_39_aarch64"}


def test_two_targets_of_two_processors_are_two_actions_on_two_instances(here: Here) -> None:
    ask(here, TWO)

    assert plan.main([]) == 0

    assert placed(here) == {"linux-amd64": "amd x86_64", "linux-arm64": "arm aarch64"}
    one, other = json.loads(here.plan.read_bytes())["actions"]
    assert one["needs"] == {"arch": "x86_64", "libc": "glibc", "libc_version": "2.39", "os": "linux", "python": "cp312"}
    assert one["key"] != other["key"]


def test_planning_again_gives_the_same_bytes_from_the_cache(here: Here) -> None:
    ask(here, TWO, exec_properties={"os": "linux"})
    assert plan.main([]) == 0
    first = here.plan.read_bytes()

    assert plan.main([]) == 0

    assert here.plan.read_bytes() == first


def test_without_a_match_it_is_exit_4_and_the_rest_is_planned(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    ask(here, TWO, {"amd": INSTANCES["amd"]})

    assert plan.main([]) == 4

    assert placed(here) == {"linux-amd64": "amd x86_64"}
    assert (
        "error: X 1.0 for linux-arm64: building this sdist would cross-compile its native extensions.\n"
        "  needs  os=linux arch=aarch64 libc=glibc<=2.39 python=cp312\n"
        "  nearest  amd: arch is x86_64\n"
        "Add an instance with these properties, or rely on a prebuilt wheel (upstream has none).\n"
    ) in capsys.readouterr().err
    (error,) = Plan.from_json(here.plan.read_bytes(), "plan.json").errors
    assert (error.target, error.refused) == ("linux-arm64", True)


def test_a_prebuilt_wheel_that_could_be_relied_on_is_named(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("y", "y-1.0.tar.gz", "y-1.0-cp312-cp312-manylinux_2_17_aarch64.whl")
    ask(here, TWO, {"amd": INSTANCES["amd"]})
    here.matrix.write_text(here.matrix.read_text().replace('"X"', '"Y"'))

    assert plan.main(["--target", "linux-arm64"]) == 4

    assert "(upstream has y-1.0-cp312-cp312-manylinux_2_17_aarch64.whl)" in capsys.readouterr().err


def test_a_refusal_goes_before_a_failure(here: Here) -> None:
    ask(here, TWO, {"amd": INSTANCES["amd"]})
    matrix = json.loads(here.matrix.read_text())
    matrix["packages"]["Missing"] = ["latest"]
    here.matrix.write_text(json.dumps(matrix))

    assert plan.main([]) == 4


def test_a_target_may_need_more_than_its_platform(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    big = {**INSTANCES["arm"], "properties": {**ARM, "pool": ["small", "big"]}}
    ask(here, {"linux-arm64": TWO["linux-arm64"]}, {**INSTANCES, "big": big}, exec_properties={"pool": "big"})
    assert plan.main([]) == 0
    assert placed(here) == {"linux-arm64": "big aarch64"}

    ask(here, {"linux-arm64": TWO["linux-arm64"]}, exec_properties={"pool": "big"})
    assert plan.main([]) == 4
    assert "  nearest  arm: it has no pool\n" in capsys.readouterr().err


def test_this_machine_is_looked_at_where_a_target_is_open(here: Here) -> None:
    machine = this_machine()
    ask(here, {"t": machine.platform}, {"local": {"worker": "local"}}, python=[machine.pythons[0].tag])
    matrix = json.loads(here.matrix.read_text())
    matrix["targets"]["t"]["arch"] = machine.arch
    here.matrix.write_text(json.dumps(matrix))

    assert plan.main([]) == 0

    assert placed(here) == {"t": f"local {machine.arch}"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--instance", "arm"], {"linux-arm64": "arm aarch64"}),
        (["--instance", "arm", "--instance", "amd"], {"linux-amd64": "amd x86_64", "linux-arm64": "arm aarch64"}),
    ],
)
def test_what_one_instance_builds_is_found_out_before(
    here: Here, options: Sequence[str], found: dict[str, str]
) -> None:
    ask(here, TWO)

    assert plan.main([*options]) == 0

    assert placed(here) == found


def test_an_instance_that_there_is_not_is_said_so(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    ask(here, TWO)

    assert plan.main(["--instance", "none"]) == 2

    assert "--instance none: wheel_matrix.yml has nothing of that name" in capsys.readouterr().err


def test_the_flat_form_says_it_too(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    ask(here, TWO, exec_properties={"os": "linux"})
    assert plan.main([]) == 0
    first = json.loads(here.plan.read_bytes())
    assert plan.main(["--expand"]) == 0
    here.matrix.write_text(capsys.readouterr().out)

    assert plan.main([]) == 0

    assert json.loads(here.plan.read_bytes()) == first


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"properties": {"o s": "x"}}, "instances.arm.properties.o s: expected the name of a property, found 'o s'"),
        ({"properties": {"os": []}}, "instances.arm.properties.os: expected a text or a list of them, found an empty list"),
        ({"properties": {"os": ""}}, "instances.arm.properties.os: expected a property's text, found ''"),
        ({"properties": ["os"]}, "instances.arm.properties: expected a mapping of properties, found a list"),
    ],
)  # fmt: skip
def test_what_is_no_property_is_named_by_its_place(
    here: Here, capsys: pytest.CaptureFixture[str], instance: dict[str, Any], message: str
) -> None:
    ask(here, TWO, {"arm": {"worker": "ssh", "host": "arm", **instance}})

    assert plan.main([]) == 2

    assert f"error: wheel_matrix.yml:1: {message}" in capsys.readouterr().err
