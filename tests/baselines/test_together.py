"""Points of many threads are evaluated together, whatever the threads do."""

import contextlib
from threading import active_count

import numpy as np
import pytest

from amortized.baselines.together import Together


class Counting:
    def __init__(self):
        self.batches: list[int] = []

    def __call__(self, points: np.ndarray) -> np.ndarray:
        self.batches.append(len(points))
        return points.sum(-1)


def test_tasks_of_different_lengths():
    evaluate = Counting()
    pool = Together(evaluate, size=4)
    with pool:
        found = pool.map(lambda count: [pool.call(np.full(2, step)) for step in range(count)], [0, 1, 2, 3, 5])
    assert found == [[2.0 * step for step in range(count)] for count in (0, 1, 2, 3, 5)]
    assert evaluate.batches == [3, 2, 1, 1, 1, 1, 1, 1]


def test_a_call_outside_is_a_batch_of_one():
    with Together(Counting(), size=4) as pool:
        assert pool.call(np.ones(3)) == 3.0


@pytest.mark.parametrize("fails", [False, True])
def test_its_threads_end_with_it(fails: bool):
    before = active_count()
    with contextlib.suppress(ZeroDivisionError), Together(Counting(), size=4) as pool:
        pool.map(lambda step: pool.call(np.full(2, step)), range(8))
        assert active_count() == before + 4
        if fails:
            raise ZeroDivisionError
    assert active_count() == before


def test_an_error_of_a_task_or_of_the_density_reaches_the_caller():
    pool = Together(Counting(), size=3)

    def task(index: int) -> float:
        if index == 1:
            raise ZeroDivisionError("task 1")
        return pool.call(np.ones(2))

    with pytest.raises(ZeroDivisionError, match="task 1"):
        pool.map(task, range(3))
    assert pool.map(lambda index: pool.call(np.full(2, index)), range(3)) == [0.0, 2.0, 4.0]

    def broken(points: np.ndarray) -> np.ndarray:
        raise ValueError("no density")

    failing = Together(broken, size=3)
    with pytest.raises(ValueError, match="no density"):
        failing.map(lambda index: failing.call(np.ones(2)), range(3))
