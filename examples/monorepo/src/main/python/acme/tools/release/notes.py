"""``release-notes PRODUCT VERSION CHANGE…`` prints the notes of a release."""

import argparse
from collections.abc import Sequence

from acme.release.notes import notes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="release-notes", description="Print the notes of a release, in Markdown.")
    parser.add_argument("product")
    parser.add_argument("version")
    parser.add_argument("changes", nargs="+", metavar="CHANGE")
    chosen = parser.parse_args(argv)
    print(notes(chosen.product, chosen.version, chosen.changes), end="")
    return 0
