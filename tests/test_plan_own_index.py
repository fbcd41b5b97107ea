"""What a plan says of our own index, for builds: they have no credentials of its store."""

from __future__ import annotations

import pytest

from tasks.core.matrix import Matrix
from tasks.options import readable_index


@pytest.mark.parametrize(
    ("index", "index_url", "readable"),
    [
        ("dist/index", None, "dist/index"),
        ("dist/index", "https://wheels.test/", "dist/index"),
        ("s3://bucket/prefix", None, None),
        ("s3://bucket/prefix", "https://wheels.test/", "https://wheels.test/"),
        ("https://me:secret@wheels.test/", None, "https://wheels.test/"),
    ],
)
def test_builds_read_our_index_where_that_needs_no_credentials(
    index: str, index_url: str | None, readable: str | None
) -> None:
    assert readable_index(index, Matrix(index_url=index_url)) == readable
