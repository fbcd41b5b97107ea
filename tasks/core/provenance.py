"""What publishing needs to know of a build record: that it is about this wheel, and which recipe built it."""

from __future__ import annotations

import json
from typing import Any


class UnfitRecord(Exception):
    """The record cannot be published with this wheel; the message says why."""


def recipe_of(record: bytes, sha256: str) -> str | None:
    """Return the recipe key that a build record names, None where it names none.

    A record is an in-toto statement v1 that holds SLSA provenance v1. Raises :class:`UnfitRecord` where it is none, or
    where its subject is another wheel than the one with this sha256 (64 hex digits).
    """
    try:
        statement = json.loads(record)
    except (ValueError, RecursionError):
        raise UnfitRecord("it is not JSON") from None
    subject = _at(statement, "subject", 0, "digest", "sha256")
    if not isinstance(subject, str):
        raise UnfitRecord("it is no in-toto statement: subject[0].digest.sha256 is missing")
    if subject != sha256:
        raise UnfitRecord(f"it is about other bytes: sha256 {subject}, the wheel has {sha256}")
    recipe = _at(statement, "predicate", "buildDefinition", "internalParameters", "recipeKey")
    return recipe if isinstance(recipe, str) else None


def _at(value: Any, *keys: str | int) -> object:  # noqa: ANN401 whatever the JSON holds
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value
