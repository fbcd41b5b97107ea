from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tasks.core.monorepo import RULES
from tasks.monorepo.distributions import distributions
from tasks.monorepo.lint import lint
from tests.monorepo.generated import BREAKS, monorepos
from tests.monorepo.trees import tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.monorepo.generated import Component, Monorepo


def files(monorepo: Monorepo) -> dict[str, str]:
    components, style = monorepo
    return {path: text for component in components for path, text in component.files(style).items()}


@settings(deadline=None)
@given(monorepo=monorepos())
def test_what_keeps_every_convention_is_clean(monorepo: Monorepo) -> None:
    tree = tree_of(files(monorepo))
    assert lint(tree) == ()
    made = {each.name: each for each in distributions(tree)}
    assert {name: each.requires for name, each in made.items()} == {
        component.dotted: tuple(sorted(path.replace("/", ".") for path in component.needs)) for component in monorepo[0]
    }
    assert sorted(path for each in made.values() for path in each.files) == [
        path for path in tree.paths if not path.endswith("/BUILD")
    ]


@pytest.mark.parametrize(("rule", "change"), BREAKS, ids=[f"{rule}{change.__name__}" for rule, change in BREAKS])
@settings(deadline=None, max_examples=40)
@given(monorepo=monorepos(scripts=1))
def test_one_change_that_breaks_a_convention_is_found(
    rule: str, change: Callable[[Component, Component], None], monorepo: Monorepo
) -> None:
    change(monorepo[0][-1], monorepo[0][0])
    assert rule in {finding.rule for finding in lint(tree_of(files(monorepo)))}


def test_each_rule_is_broken_in_some_way() -> None:
    assert {rule for rule, _ in BREAKS} == set(RULES)
