"""Command lines for who makes a release."""
