"""How many draws: the number when none is asked for, and the check of one that is."""

NUM_SAMPLES = 4_000
"""Draws of a record when none are asked for: the standard error of a mean is then a sixtieth of the std."""


def check_count(number: int, name: str = "num_samples") -> None:
    """Raises ``ValueError`` for anything but a whole number from 1."""
    if not (isinstance(number, int) and number > 0):
        raise ValueError(f"{name}={number!r}: write a whole number from 1, for instance 4_000")
