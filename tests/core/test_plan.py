from __future__ import annotations

import json
from dataclasses import replace

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.actions import Action, Patch, Sdist
from tasks.core.errors import BadInput
from tasks.core.matrix import Check, Instance, Rules
from tasks.core.nodes import nodes
from tasks.core.plan import Plan, PlanError, Skipped
from tasks.core.plan_report import error_lines, explain, markdown, rows, summary
from tasks.core.targets import PythonTag
from tasks.core.wheels import ExpectedWheel


def action(
    package: str = "PyYAML", instance: str = "freebsd/15.1", python: str = "cp314", *, abi: str | None = None
) -> Action:
    tag = PythonTag.parse(python, abi)
    return Action(
        package=package,
        target="freebsd",
        instance=instance,
        arch="x86_64",
        python=tag,
        wheel=ExpectedWheel(
            name=canonicalize_name(package),
            version=Version("6.0.3"),
            build=(),
            interpreter=tag.interpreter,
            abi=tag.abi,
            platforms=("freebsd_15_1_release_amd64",),
        ),
        sdist=Sdist(filename="pyyaml-6.0.3.tar.gz", url="https://files.example/pyyaml-6.0.3.tar.gz", sha256="a" * 64),
        rules=Rules(constraints=("Cython<3",), config_settings={"--x": ("1", "2")}),
        patches=(Patch(path="a.patch", sha256="b" * 64),),
        check=Check(imports=("yaml",), requires=("eggs<2",), run="true"),
    )


def plan(*actions: Action, worker: str = "core-ci", agent: str | None = None) -> Plan:
    names = {each.instance for each in actions}
    return Plan(
        matrix="c" * 64,
        instances={name: Instance(name=name, worker=worker, agent=agent) for name in sorted(names)},
        actions=actions,
        skipped=(
            Skipped(package="PyYAML", version="1", target="a", python="cp314", state="present", reason="there: x.whl"),
        ),
        errors=tuple(
            PlanError(package="Z", version="latest", target=name, python="cp314", message="Z: no such project")
            for name in ("a", "b")
        ),
        warnings=("careful",),
    )


def test_a_plan_survives_its_file() -> None:
    made = plan(action(), action(python="cp312", abi="abi3"))
    assert Plan.from_json(made.to_json(), "plan.json") == made
    host = Instance(
        name="x/1",
        worker="ssh",
        host="build.example",
        port=2222,
        user="builder",
        identity_file="keys/builder",
        host_key=("ssh-ed25519 AAAA",),
        jump="gate.example",
        python={"cp314": "/opt/python3.14"},
    )
    made = replace(made, instances={"x/1": host})
    assert Plan.from_json(made.to_json(), "plan.json") == made


def test_an_action_s_instance_is_that_of_its_processor() -> None:
    both = {name: Instance(name=name, worker="ssh", host=name) for name in ("x/1", "x/1,arch=aarch64")}
    made = replace(plan(), instances=both)
    assert made.instance("x/1", "aarch64").host == "x/1,arch=aarch64"
    assert made.instance("x/1", "x86_64").host == "x/1"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "p.json: this is no plan (expected JSON with the format spare-tire/plan); make it again with nox -s plan"),
        (b"[]", "p.json: this is no plan (expected JSON with the format spare-tire/plan); make it again with nox -s plan"),
        (b'{"format": "x"}', "p.json: this is no plan (expected JSON with the format spare-tire/plan); make it again with nox -s plan"),
        (b'{"format": "spare-tire/plan", "version": 3}', "p.json: the plan's format has version 3, this reads versions 1 and 2; make it again with nox -s plan"),
        (b'{"format": "spare-tire/plan", "version": 1, "actions": null}', "p.json: actions: expected a list; make it again with nox -s plan"),
        (b'{"format": "spare-tire/plan", "version": 1, "actions": []}', "p.json: the key 'matrix' is missing; make it again with nox -s plan"),
        (b'{"format": "spare-tire/plan", "version": 1, "actions": [{}]}', "p.json: actions[0]: the key 'python' is missing; make it again with nox -s plan"),
    ],
)  # fmt: skip
def test_a_foreign_or_newer_plan_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        Plan.from_json(data, "p.json")
    assert caught.value.messages == (message,)


def test_a_plan_that_was_edited_by_hand_is_refused() -> None:
    edited = json.loads(plan(action()).to_json())
    edited["actions"][0]["sdist"]["sha256"] = "d" * 64
    with pytest.raises(BadInput, match=r"p\.json: actions\[0\]: its key is \w{64}, but what it says has the key"):
        Plan.from_json(json.dumps(edited).encode(), "p.json")


def test_actions_are_grouped_into_one_visit_for_each_instance_and_architecture() -> None:
    made = plan(action("A", "x/1"), action("B", "x/1"), action("A", "y/1"))
    assert {place: len(actions) for place, actions in made.visits().items()} == {
        ("x/1", "x86_64"): 2,
        ("y/1", "x86_64"): 1,
    }


def test_a_node_is_what_existing_pipelines_read() -> None:
    made = nodes(plan(action(), action(python="cp39"), action("cryptography", python="cp312", abi="abi3")), "p.json")
    (name, node) = made.popitem()
    data = json.loads(node.pop("job_data"))
    assert name == "wheel_freebsd_15_1_release_amd64"
    assert node == {"instance": "freebsd/15.1", "arch": "x86_64", "python": "3.9", "pythons": "3.12 3.14"}
    assert (data["instance"], data["arch"]) == ("freebsd/15.1", "x86_64")
    assert data["packages"][0] == {
        "action": action().key,
        "name": "PyYAML",
        "version": "6.0.3",
        "python": "python3.14",
        "python_version": "3.14",
        "python_tag": "cp314",
        "abi": "",
        "sdist_dir": "PyYAML-6.0.3",
        "sdist_dir_normalized": "pyyaml-6.0.3",
        "sdist_dir_underscore": "pyyaml-6.0.3",
        "sdist_url": "https://files.example/pyyaml-6.0.3.tar.gz",
        "expected_output_filename": "pyyaml-6.0.3-cp314-cp314-freebsd_15_1_release_amd64.whl",
        "constraints": "Cython<3",
    }
    assert data["packages"][2]["abi"] == "abi3"


def test_the_planning_machine_is_no_node_unless_it_names_an_agent() -> None:
    assert nodes(plan(action(instance="local"), worker="local"), "p.json") == {}
    (node,) = nodes(plan(action(instance="local"), worker="local", agent="ubuntu-24.04"), "p.json").values()
    assert node["agent"] == "ubuntu-24.04"


def test_job_data_that_would_outgrow_a_variable_names_the_plan_instead() -> None:
    many = plan(*(action(f"package-{number}") for number in range(400)))
    (node,) = nodes(many, "build/plan.json").values()
    assert json.loads(node["job_data"]) == {
        "instance": "freebsd/15.1",
        "arch": "x86_64",
        "packages": [],
        "plan": "build/plan.json",
        "matrix": "c" * 64,
    }


def test_nodes_that_would_outgrow_a_cis_outputs_together_name_the_plan_instead() -> None:
    each = [action(f"package-{number}", instance=f"x/{number % 8}") for number in range(900)]
    found = [node["job_data"] for node in nodes(plan(*each), "build/plan.json").values()]
    assert [json.loads(data)["plan"] for data in found] == ["build/plan.json"] * 8
    few = nodes(plan(*each[:500]), "build/plan.json").values()
    assert sum(len(json.loads(node["job_data"])["packages"]) for node in few) == 500


def test_the_table_names_what_is_built_and_counts_the_rest() -> None:
    assert rows(plan(action())) == [
        ("a", "1", "", "", "1", ""),
        ("b", "", "", "", "1", ""),
        ("freebsd", "", "", "", "", "1: PyYAML 6.0.3"),
    ]


def test_the_table_names_the_interpreters_where_there_are_several() -> None:
    assert rows(plan(action(python="cp39"), action(), action("A", python="cp39")))[2][-1] == (
        "3: PyYAML 6.0.3 (cp39) (cp314), A 6.0.3 (cp39)"
    )


def test_targets_that_are_alike_are_one_row() -> None:
    made = plan(action("A"), replace(action("A"), target="other"))
    assert rows(replace(made, skipped=(), errors=())) == [("freebsd\nother", "", "", "", "", "1: A 6.0.3")]
    assert "| freebsd<br>other |  |  |  |  | 1: A 6.0.3 |" in markdown(made).splitlines()


def test_an_error_of_several_targets_is_one_line() -> None:
    assert error_lines(plan().errors) == ["Z latest: Z: no such project (for a cp314, b cp314)"]


def test_the_summary_is_one_line() -> None:
    assert summary(plan(action())) == "1 wheel to build (0 on this machine), 1 wheel needed no build, 2 wheels in error"
    assert summary(Plan(matrix="")) == "nothing to build, 0 wheels needed no build"


def test_explain_says_for_each_target_why() -> None:
    assert list(explain(plan(action()), "pyyaml")) == [
        "a cp314 pyyaml 1: there: x.whl",
        "freebsd cp314 pyyaml 6.0.3: to build: no such wheel, pyyaml-6.0.3-cp314-cp314-freebsd_15_1_release_amd64.whl",
    ]


def test_the_job_summary_is_a_markdown_table() -> None:
    assert "| freebsd |  |  |  |  | 1: PyYAML 6.0.3 |" in markdown(plan(action())).splitlines()
