"""Which of some versions is the newest."""

from collections.abc import Iterable

from packaging.version import Version


def newest(versions: Iterable[str]) -> str:
    """Return the newest version that is no pre-release; of pre-releases alone the newest of them."""
    every = sorted(map(Version, versions))
    released = [version for version in every if not version.is_prerelease]
    return str((released or every)[-1])
