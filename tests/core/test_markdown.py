from __future__ import annotations

from tasks.core.markdown import block, table, text


def test_what_would_be_markup_is_text() -> None:
    assert text("*a* [b](c) <img> `d` | e_f \\") == r"\*a\* \[b\](c) \<img\> \`d\` \| e_f \\"


def test_lines_of_a_value_stay_in_its_cell() -> None:
    assert text("one\ntwo") == "one<br>two"


def test_control_sequences_and_credentials_are_not_shown() -> None:
    assert text("\x1b[31mred\x1b[0m at https://user:pw@x.test/y") == "red at https://x.test/y"
    assert block(["\x1b[31mred https://user:pw@x.test/y"]) == ["```text", "red https://x.test/y", "```"]


def test_a_table() -> None:
    assert table(("a", "b"), [("1", "x|y")]) == ["| a | b |", "| --- | --- |", r"| 1 | x\|y |"]


def test_a_fence_is_longer_than_any_in_its_block() -> None:
    assert block(["```", "<b>", "a ````"]) == ["`````text", "```", "<b>", "a ````", "`````"]


def test_a_long_line_is_cut() -> None:
    assert block(["x" * 401])[1] == f"{'x' * 400} …"
    assert block(["x" * 400])[1] == "x" * 400
