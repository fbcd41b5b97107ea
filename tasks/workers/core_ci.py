"""A lease of a machine that core-ci starts: an ssh worker builds on it, and it is given back, whatever happens.

What was asked for is noted on disk before it is. Where a run could not give its instance back, because it was killed
or the service did not answer, the next run of this user does.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.addresses import secure, without_credentials
from tasks.core.errors import BadInput, ServiceFailed
from tasks.core.matrix import SSH, Instance
from tasks.scratch import private_directory, scratch
from tasks.services.http import Http, Patience, Reply, Unanswered
from tasks.workers.ansible_test import NOTE, AnsibleTest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.core.targets import PythonTag
    from tasks.progress import Aside

TIMEOUT = 1800
"""Seconds until there is a machine to build on, where the matrix says nothing else."""
ENDPOINT, STAGE = "SPARE_TIRE_REMOTE_ENDPOINT", "SPARE_TIRE_REMOTE_STAGE"
"""The variables that stand in for an instance's ``remote_endpoint`` and ``remote_stage``."""
STAGES = ("dev", "prod")
_PATIENCE = Patience(timeout=15, total=60)
_GIVEN_UP = 24 * 3600  # seconds after which no service has an instance any more
_GONE = {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}


class Lease:
    """An instance, for one visit. Entering returns how it is reached: as an ssh instance."""

    def __init__(self, instance: Instance, arch: str, pythons: Sequence[PythonTag], aside: Aside) -> None:
        """Take the interpreters that are to be there."""
        self._instance = _with_environment(instance, os.environ)
        self._arch = arch
        self._pythons = pythons
        self._aside = aside
        self._name = f"{instance.name.partition(',')[0]},arch={arch}"
        self._held = ExitStack()
        self._folder: Path | None = None

    def __enter__(self) -> Instance:
        """Get hold of it. Raises :class:`ServiceFailed` or :class:`BadInput`."""
        try:
            return self._start()
        except BaseException:
            self._held.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _start(self) -> Instance:
        try:
            parent = private_directory(_state(os.environ))
            self._folder = self._held.enter_context(scratch(parent, "visit-", self._given_back))
        except OSError as error:
            raise BadInput(f"no instance can be kept track of: {error}; XDG_STATE_HOME names another place") from error
        run = AnsibleTest(self._name, self._folder, self._aside)
        versions = sorted({python.version for python in self._pythons})
        with self._aside.group(f"starting {self._name} by ansible-test"):
            self._held.callback(self._end, run)
            run.start(self._instance, self._arch, [f"{major}.{minor}" for major, minor in versions])
            return self._reached(run.wait(self._instance.remote_timeout or TIMEOUT))

    def _end(self, run: AnsibleTest) -> None:
        with self._aside.group(f"giving {self._name} back"):
            run.stop()

    def _reached(self, handed: dict[str, Any]) -> Instance:
        """Return the host as the target of the collection has handed it over."""
        keys = tuple(" ".join(line.split()[:2]) for line in handed["host_key"] if line.strip())
        if not keys:
            raise ServiceFailed(f"{self._name}: the host that core-ci has started shows no host key in /etc/ssh")
        return Instance(
            name=self._instance.name,
            worker=SSH,
            host=str(handed["host"]),
            port=int(handed["port"]),
            user=str(handed["user"]),
            identity_file=str(handed["identity_file"]),
            host_key=keys,
            python=self._instance.python,
        )

    def _given_back(self, folder: Path) -> bool:
        return _given_back(folder, self._aside, is_ours=folder == self._folder)


def give_back(aside: Aside) -> bool:
    """Give back what killed visits of this user have left, and make none; say whether nothing is left.

    For what is thrown away with its notes after a run: a CI's agent.
    """
    parent = _state(os.environ)
    if not parent.exists():
        return True
    done: list[bool] = []

    def may_go(folder: Path) -> bool:
        done.append(_given_back(folder, aside, is_ours=False))
        return done[-1]

    try:
        with scratch(private_directory(parent), "visit-", may_go):
            pass
    except OSError as error:
        raise BadInput(f"what earlier visits have left cannot be looked at: {error}") from error
    return all(done)


def _given_back(folder: Path, aside: Aside, *, is_ours: bool) -> bool:
    """Give back the instance that a visit, ours or one that was killed, has noted; say whether that is done."""
    try:
        address = (folder / NOTE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    with Http(patience=_PATIENCE) as http:
        try:
            answer = http.delete(address, _status)
        except Unanswered as error:
            answer = error.reason
    if answer is None:
        (folder / NOTE).unlink()
        if not is_ours:
            aside.warn("an instance that an earlier run had left was given back to core-ci")
        return True
    is_old = time.time() - (folder / NOTE).stat().st_mtime > _GIVEN_UP
    then = "it is a day old, and given up" if is_old else "the next visit to any core-ci instance tries again"
    aside.warn(f"an instance could not be given back to core-ci: {answer}; {then}")
    return is_old


def _status(reply: Reply) -> str | None:
    """Say what is wrong with the answer to a request to stop an instance."""
    return None if reply.status in _GONE else f"the service answers {reply.line}"


def _with_environment(instance: Instance, environ: Mapping[str, str]) -> Instance:
    """Return the instance with what the environment says of its service."""
    said: dict[str, Any] = {"worker": instance.worker, **instance.to_dict()}
    if endpoint := environ.get(ENDPOINT):
        try:
            said["remote_endpoint"] = secure(endpoint)
        except ValueError:
            found = f"{ENDPOINT} is {without_credentials(endpoint)}"
            raise BadInput(f"{found}, expected a URL that begins with https://, or http:// on loopback") from None
    if stage := environ.get(STAGE):
        if stage not in STAGES:
            raise BadInput(f"{STAGE} is {stage}, expected one of {', '.join(STAGES)}")
        said["remote_stage"] = stage
    return Instance.from_dict(instance.name, said)


def _state(environ: Mapping[str, str]) -> Path:
    """Return where this user's visits are kept track of, as the XDG base directories have it."""
    home = environ.get("XDG_STATE_HOME") or ""
    parent = Path(home) if Path(home).is_absolute() else Path.home() / ".local/state"
    return parent / "spare-tire" / "core-ci"
