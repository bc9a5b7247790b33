"""What is said of this machine."""

import os

from amortized.benchmark import machine


def test_the_machine_is_described():
    found = machine.provenance()
    assert found["machine"]["threads"] == 1 and 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert found["machine"]["processor"] and found["machine"]["platform"]
    assert all(found["versions"].values())
