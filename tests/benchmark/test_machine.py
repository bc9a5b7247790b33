"""What is said of this machine."""

import os

from amortized.benchmark import machine


def test_the_machine_is_described():
    found = machine.machine()
    assert found["threads"] == 1 and 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert found["processor"] and found["platform"]
    assert all(machine.versions().values())
