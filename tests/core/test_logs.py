from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.logs import FOLDINGS, folding, group, harmless, plain


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://x.test\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("\x1bP+q544e\x1b\\text", "text"),
        ("\x1b(B\x1b7text\x1b", "text"),
        ("50 %\rdone\x08\x07", "50 %done"),
        ("one\u2028two\x0bthree\x85four", "onetwothreefour"),
        ("abc\u202edcba", "abcdcba"),
        ("a\tb", "a\tb"),
        ("grüße \U0001f389", "grüße \U0001f389"),
        ("\udc80", "\ufffd"),
    ],
)
def test_what_is_shown_commands_no_terminal(printed: str, shown: str) -> None:
    assert plain(printed) == shown


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("##vso[task.setvariable variable=x]1", "# #vso[task.setvariable variable=x]1"),
        ("compiling ##vso[task.complete]", "compiling # #vso[task.complete]"),
        ("##[error]x", "# #[error]x"),
        ("###[section]", "## #[section]"),
        ("##VSO[task.x]", "# #VSO[task.x]"),
        ("::error file=x::y", ": :error file=x: :y"),
        ("  :::set-output", "  : : :set-output"),
        ("std::vector", "std: :vector"),
        ("##\rvso[task.x]", "# #vso[task.x]"),
        ("50 %\r##vso[task.x]", "50 %# #vso[task.x]"),
        ("#\x1b[0m#vso[task.x]", "# #vso[task.x]"),
        (":\x1b[0m:error::", ": :error: :"),
        ("#\u2028#[x]", "# #[x]"),
        ("## a heading [1]", "## a heading [1]"),
        ("########", "########"),
    ],
)
def test_what_is_shown_commands_no_ci(printed: str, shown: str) -> None:
    assert harmless(printed) == shown


@given(st.text(st.sampled_from("#:[vso]\r\x1b\x07\\ 0m\u2028a"), max_size=40))
def test_nothing_that_can_be_printed_commands_a_ci(printed: str) -> None:
    shown = harmless(printed)
    assert "##[" not in shown
    assert "##vso[" not in shown
    assert "::" not in shown
    assert not set("\r\n\x1b\x07\u2028") & set(shown)


def test_each_ci_is_known_by_its_variable() -> None:
    assert folding({"TF_BUILD": "True"}) == FOLDINGS["TF_BUILD"]
    assert folding({"GITHUB_ACTIONS": "true"}) == FOLDINGS["GITHUB_ACTIONS"]
    assert folding({"TF_BUILD": "", "CI": "true"}) is None


def test_a_group_holds_its_lines_and_nothing_ends_it_early() -> None:
    lines = list(group(FOLDINGS["TF_BUILD"], "spam::", ["one", "##[endgroup]", "two"]))
    assert lines == ["##[group]spam: :", "one", "# #[endgroup]", "two", "##[endgroup]"]
