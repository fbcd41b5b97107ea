"""What every test starts from."""

from __future__ import annotations

import signal

# A shell that runs the tests in its background has them ignore SIGINT, and so would what they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
