"""``newest-version VERSION…`` prints the newest of some versions."""

import argparse
from collections.abc import Sequence

from acme.release.version import newest


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="newest-version", description="Print the newest of some versions.")
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    print(newest(parser.parse_args(argv).versions))
    return 0
