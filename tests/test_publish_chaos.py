"""The short form of ``nox -s chaos``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.chaos import SHORT, SURELY, chaos, chosen_seed, kills

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.stores.s3_servers import Server


def test_publishers_that_are_killed_lose_nothing_and_readers_see_no_broken_link(
    moto: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)  # so that they are gone afterwards
    seed = chosen_seed()
    print(f"CHAOS_SEED={seed}")

    assert chaos(moto, SHORT, seed, tmp_path) == []


def test_whatever_the_seed_somebody_is_killed_before_it_can_have_finished() -> None:
    for seed in range(1000):
        doom = kills(random.Random(seed), SHORT)  # noqa: S311 - as chaos does
        assert [kill for kill in doom if kill is not None and kill.request <= SURELY]
