"""The page of a CI run after publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tests.wheel_factory import write_wheel

if TYPE_CHECKING:
    from pathlib import Path
