from __future__ import annotations

from tasks.core.candidates import Outcome, Result
from tasks.core.publish_report import MOST, counted, markdown

NEW = Result(filename="a-1-py3-none-any.whl", outcome=Outcome.PUBLISHED)
OLD = Result(filename="b-1-py3-none-any.whl", outcome=Outcome.UNCHANGED)
BAD = Result(filename="c-1-py3-none-any.whl", outcome=Outcome.REFUSED, note="other | bytes")


def test_wheels_are_counted_by_outcome() -> None:
    assert counted([NEW, OLD, BAD, NEW]) == "2 published, 1 unchanged, 1 refused"


def test_a_row_for_each_wheel_that_was_not_there() -> None:
    assert markdown([NEW, OLD, BAD], "s3://b/team") == (
        "### Published to s3://b/team: 1 published, 1 unchanged, 1 refused\n\n"
        "| wheel | outcome | note |\n"
        "| --- | --- | --- |\n"
        "| a-1-py3-none-any.whl | published |  |\n"
        "| c-1-py3-none-any.whl | refused | other \\| bytes |\n"
    )


def test_nothing_is_said_in_a_line() -> None:
    assert markdown([], "dist/index") == "### Published to dist/index: nothing\n"


def test_a_page_shows_so_many_rows_and_counts_the_rest() -> None:
    report = markdown([NEW] * (MOST + 3), "dist/index")
    assert report.count("| published |") == MOST
    assert "3 more are in the log.\n" in report
