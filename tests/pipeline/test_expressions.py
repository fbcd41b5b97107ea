from __future__ import annotations

import pytest

from tests.pipeline.expressions import BadExpression, Scope, evaluate, holds, runtime

SCOPE = Scope(
    values={
        "variables": {"Build.Reason": "PullRequest", "empty": "", "count": "3"},
        "dependencies": {"plan": {"result": "Failed", "outputs": {"plan.plan.matrix_has_jobs": "true"}}},
    },
    status={"succeeded": lambda names: names == ["plan"], "canceled": lambda _: False},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("3", 3.0),
        ("TRUE", True),
        ("variables['build.reason']", "PullRequest"),
        ("variables.count", "3"),
        ("variables['nothing']", None),
        ("dependencies.plan.outputs['plan.plan.matrix_has_jobs']", "true"),
        ("dependencies.build.outputs['a.b']", None),
        ("coalesce(variables['nothing'], variables['empty'], 'x')", "x"),
    ],
)
def test_values(text: str, value: object) -> None:
    assert evaluate(text, SCOPE) == value


@pytest.mark.parametrize(
    "text",
    [
        "eq('a', 'A')",
        "eq(variables['nothing'], '')",
        "ne('a', 'b')",
        "eq(true, 'anything')",
        "eq(3, variables.count)",
        "in(dependencies.plan.result, 'Succeeded', 'Failed')",
        "not(in(dependencies.plan.result, 'Succeeded'))",
        "and(not(canceled()), ne(variables['Build.Reason'], 'IndividualCI'))",
        "or(false, succeeded('plan'))",
        "startsWith('refs/tags/v1', 'refs/tags/')",
        "dependencies.plan",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert holds(text, SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "eq('a', 'b')",
        "eq(3, 'x')",
        "and(true, false)",
        "or(false, 0, '', null)",
        "succeeded()",
        "eq(dependencies.plan.outputs['plan.plan.matrix'], 'true')",
    ],
)
def test_conditions_that_do_not_hold(text: str) -> None:
    assert not holds(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eq('a', 'b'", r"^found 'the end', expected ','$"),
        ("eq('a' 'b')", r"^found \"'b'\", expected ','$"),
        ("'a' 'b'", r"comes after the end"),
        ("contains('a', 'b')", r"^the function 'contains' is unknown$"),
        ("pipeline.name", r"^there is no 'pipeline' here; there are dependencies, variables$"),
        ("eq(@)", r"cannot be read from '@\)' on"),
        ("", r"^the expression ends where a value is expected$"),
        ("and(,true)", r"^',' stands where a value is expected$"),
    ],
)
def test_what_is_not_known_is_an_error(text: str, message: str) -> None:
    with pytest.raises(BadExpression, match=message):
        evaluate(text, SCOPE)


def test_a_runtime_expression_is_text() -> None:
    assert runtime("$[ variables['count'] ]", SCOPE) == "3"
    assert runtime("$[ variables['nothing'] ]", SCOPE) == ""
    with pytest.raises(BadExpression, match=r"^'x' is no runtime expression$"):
        runtime("x", SCOPE)
