"""The options that several stages share, with the environment variables that stand in for them."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.addresses import without_credentials

if TYPE_CHECKING:
    from tasks.core.matrix import Matrix

MATRIX = "wheel_matrix.yml"
INDEX = "dist/index"
PLAN = "build/plan.json"
DIST = "dist"
_READABLE = re.compile(r"https?://", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:s3|https?):")  # misspelt ones, too, so that they are refused


def add_matrix(parser: argparse.ArgumentParser) -> None:
    """Add ``--matrix``."""
    parser.add_argument("--matrix", metavar="FILE", help=f"what to build (default: $SPARE_TIRE_MATRIX, else {MATRIX})")


def add_index(parser: argparse.ArgumentParser) -> None:
    """Add ``--index``."""
    parser.add_argument(
        "--index",
        metavar="URL",
        help="the package index: a directory or s3://…; for plan also https://… "
        f"(default: $SPARE_TIRE_INDEX, else the matrix's index, else {INDEX})",
    )


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add ``--plan``."""
    parser.add_argument("--plan", metavar="FILE", type=Path, default=Path(PLAN), help=f"the plan (default: {PLAN})")


def add_dist(parser: argparse.ArgumentParser) -> None:
    """Add ``--dist``."""
    parser.add_argument(
        "--dist",
        metavar="DIR",
        type=Path,
        default=Path(DIST),
        help=f"where wheels, records and logs lie between building and publishing (default: {DIST})",
    )


def positive(text: str) -> int:
    """Return the number that an option has, such as ``--jobs``. Raises :class:`argparse.ArgumentTypeError`."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 up")
    return int(text)


def matrix_path(options: argparse.Namespace) -> Path:
    """Return the matrix's path: the option's, the environment's or the default."""
    return Path(options.matrix or os.environ.get("SPARE_TIRE_MATRIX") or MATRIX)


def names_matrix(options: argparse.Namespace) -> bool:
    """Whether the user named a matrix, by option or environment: then it has to be there."""
    return bool(options.matrix or os.environ.get("SPARE_TIRE_MATRIX"))


def chosen_index(options: argparse.Namespace) -> str | None:
    """Return the index that the user chose by option or environment, if any: then no matrix is asked."""
    return options.index or os.environ.get("SPARE_TIRE_INDEX") or None


def index_of(matrix: Matrix, path: Path) -> str:
    """Return the index that the matrix at ``path`` names, else the default; a relative directory is relative to it."""
    if matrix.index is None:
        return INDEX
    return matrix.index if _URL.match(matrix.index) else str(path.parent / matrix.index)


def readable_index(index: str, matrix: Matrix) -> str | None:
    """Return where ``index`` can be read without credentials of its store: itself, or its address on the web."""
    if _URL.match(index) and not _READABLE.match(index):
        return matrix.index_url
    return without_credentials(index)
