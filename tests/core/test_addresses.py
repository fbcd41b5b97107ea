from __future__ import annotations

import pytest

from tasks.core.addresses import Credentials, origin, split_credentials, without_credentials


@pytest.mark.parametrize(
    ("url", "clean", "credentials"),
    [
        ("https://pkgs.example/simple/", "https://pkgs.example/simple/", None),
        ("https://me:s3cret@pkgs.example:8443/simple/", "https://pkgs.example:8443/simple/", ("me", "s3cret")),
        ("https://token@pkgs.example/simple/", "https://pkgs.example/simple/", ("token", "")),
        ("https://me%40corp:a%2Fb@pkgs.example/", "https://pkgs.example/", ("me@corp", "a/b")),
        ("https://me:p@ss@pkgs.example/", "https://pkgs.example/", ("me", "p@ss")),
        ("file:///srv/index/simple/", "file:///srv/index/simple/", None),
    ],
)
def test_a_url_loses_its_user_info(url: str, clean: str, credentials: tuple[str, str] | None) -> None:
    assert split_credentials(url) == (clean, Credentials(*credentials) if credentials else None)
    assert without_credentials(url) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("gs://me:se/cret@bucket/x", "gs://bucket/x"),
        ("https://me:/cret?@pkgs.example/x, https://you:a/b@c", "https://pkgs.example/x, https://c"),
        ("https://pkgs.example:8443/a@b", "https://pkgs.example:8443/a@b"),
        ("https://pkgs.example/a:b@c", "https://pkgs.example/a:b@c"),
    ],
)
def test_a_text_loses_user_info_that_makes_no_url(text: str, clean: str) -> None:
    assert without_credentials(text) == clean


def test_credentials_are_not_shown() -> None:
    assert repr(Credentials("me", "s3cret")) == "Credentials()"


def test_the_port_that_a_scheme_implies_is_part_of_the_origin() -> None:
    assert origin("https://pkgs.example/a") == origin("https://pkgs.example:443/b")
    assert origin("https://pkgs.example/a") != origin("http://pkgs.example/a")
