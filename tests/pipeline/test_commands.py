from __future__ import annotations

from tests.pipeline.commands import Command, commands


def test_a_command_has_properties_and_a_value() -> None:
    assert list(commands('##vso[task.setvariable variable=matrix;isOutput=true]{"a": "]"}\n')) == [
        Command(name="task.setvariable", properties={"variable": "matrix", "isoutput": "true"}, value='{"a": "]"}')
    ]


def test_a_command_is_found_anywhere_in_a_line_and_may_have_neither() -> None:
    assert list(commands("nox > ##vso[Task.Complete result=Failed;]\n  ##vso[build.uploadlog]\n")) == [
        Command(name="task.complete", properties={"result": "Failed"}, value=""),
        Command(name="build.uploadlog", properties={}, value=""),
    ]


def test_what_is_escaped_is_unescaped() -> None:
    (found,) = commands("##vso[task.logissue type=a%3Bb]one%0Atwo %AZP25\n")
    assert (found.properties["type"], found.value) == ("a;b", "one\ntwo %")


def test_what_is_pulled_apart_is_no_command() -> None:
    assert list(commands("# #vso[task.complete result=Failed]\n##[group]x\n")) == []
