"""The files that actions are built from: sdists, each fetched once and kept by its digest, and patches."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.addresses import path_of
from tasks.core.errors import BadInput, Refused, ServiceFailed, SpareTireError
from tasks.services.download import fetch_file
from tasks.threads import side_by_side
from tasks.wheelfile import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.core.actions import Action, Patch, Sdist
    from tasks.services.pip_config import PipSettings

THREADS = 4
"""Downloads at the same time."""

_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of one action, fetched and their digests checked."""

    sdist: Path
    patches: tuple[Path, ...] = ()


def fetch_sources(
    actions: Sequence[Action], cache: Path, settings: PipSettings, beside: Path = Path()
) -> tuple[dict[str, Sources], dict[str, SpareTireError]]:
    """Return the sources of each action by its key, and for those that cannot have them why.

    An sdist lies in ``cache/<sha256>/<file name>``; one that is there is not asked for. A relative ``file:`` URL is
    one ``beside`` the plan, in its folder. Wrong digests are
    :class:`Refused`, what is not to be had is :class:`ServiceFailed`, which is raised where that is so of all.
    """
    wanted = {action.sdist.sha256: action.sdist for action in actions}
    places = {sha256: _place(cache, sdist) for sha256, sdist in sorted(wanted.items())}
    found = _fetch({place: _located(wanted[sha256], beside) for sha256, place in places.items()}, settings)
    sources: dict[str, Sources] = {}
    lacking: dict[str, SpareTireError] = {}
    for action in actions:
        place = places[action.sdist.sha256]
        error = found[place]
        if error is not None and not isinstance(error, (Refused, ServiceFailed)):
            raise error
        try:
            patches = tuple(_patch(patch) for patch in action.patches)
        except (Refused, ServiceFailed) as unfit:
            error = error or unfit
            patches = ()
        if error is None:
            sources[action.key] = Sources(sdist=place, patches=patches)
        else:
            lacking[action.key] = error
    if lacking and not sources and all(isinstance(error, ServiceFailed) for error in lacking.values()):
        raise ServiceFailed(*dict.fromkeys(str(error) for error in lacking.values()))
    return sources, lacking


def _fetch(wanted: Mapping[Path, Sdist], settings: PipSettings) -> dict[Path, Exception | None]:
    """Put each sdist in its place; return the places with what went wrong."""
    from tasks.services.http import Http  # noqa: PLC0415 - heavy, and mostly there is nothing to fetch

    def fetch(place: Path) -> Exception | None:
        try:
            fetch_file(http, wanted[place].url, wanted[place].sha256, place)
        except Exception as error:  # noqa: BLE001 - it is raised, or said, where all are known
            return error
        return None

    places = sorted(wanted)
    with Http(settings.index_url or "", settings=settings) as http:
        try:
            return dict(zip(places, side_by_side(fetch, places, THREADS), strict=True))
        except KeyboardInterrupt:  # the threads go with the process; what they had of a file goes now
            for place in places:
                for part in place.parent.glob(f".{place.name}.{os.getpid()}-*.part"):
                    part.unlink(missing_ok=True)
            raise


def _place(cache: Path, sdist: Sdist) -> Path:
    if not _FILENAME.fullmatch(sdist.filename) or not _SHA256.fullmatch(sdist.sha256):
        raise BadInput(
            f"the plan has an sdist {sdist.filename!r} with the sha256 {sdist.sha256!r}, which cannot be; plan again"
        )
    return cache.absolute() / sdist.sha256 / sdist.filename


def _located(sdist: Sdist, beside: Path) -> Sdist:
    if not sdist.url.startswith("file:") or sdist.url.startswith("file:/"):
        return sdist
    return replace(sdist, url=(beside / path_of(sdist.url)).absolute().as_uri())


def _patch(patch: Patch) -> Path:
    """Return where a patch lies: where it lay when it was planned, relative to where the stages run."""
    path = Path(patch.path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ServiceFailed(f"the patch {path} cannot be read: {error.strerror}; run where nox -s plan ran") from error
    if found != patch.sha256:
        raise Refused(f"{path}: its sha256 is {found}, the plan has {patch.sha256}; run nox -s plan again")
    return path.absolute()
