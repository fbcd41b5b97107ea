"""Waits until whoever holds the lock of a file lets go of it, or has died."""

import fcntl
import sys
from pathlib import Path

with Path(sys.argv[1]).open() as held:
    fcntl.flock(held, fcntl.LOCK_SH)
