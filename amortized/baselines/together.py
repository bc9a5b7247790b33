"""One batched call for calls from many threads, for code that asks for one point at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, get_ident
from typing import Any

import numpy as np


class Together:
    """A pool of threads whose tasks call ``evaluate`` together.

    A ``call`` waits until every running task calls. Then ``evaluate`` is called once for all, in the order of the
    tasks, so that the results do not depend on which thread is first. The threads end with the ``with`` block.

    Args:
        evaluate: ``(B, D) -> (B,)``.
        size: threads, and so most points of a batch.

    >>> with Together(lambda points: points.sum(-1), size=3) as pool:
    ...     pool.map(lambda x: pool.call(np.array([x, 1.0])), [1.0, 2.0, 3.0, 4.0])
    [2.0, 3.0, 4.0, 5.0]
    """

    def __init__(self, evaluate: Callable[[np.ndarray], np.ndarray], size: int):
        self.evaluate = evaluate
        self.size = size
        self.threads = ThreadPoolExecutor(size)
        self.condition = Condition()
        self.tasks: dict[int, int] = {}
        self.waiting: dict[int, np.ndarray] = {}
        self.answers: dict[int, float] = {}
        self.running = 0
        self.error: Exception | None = None

    def __enter__(self) -> Together:
        return self

    def __exit__(self, *error: object) -> None:
        self.threads.shutdown()

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """``[function(item) for item in items]``. Raises the first error of a task, after all tasks have ended."""
        tasks, results = list(items), []
        for begin in range(0, len(tasks), self.size):
            results += self._batch(function, tasks[begin : begin + self.size])
        return results

    def call(self, point: np.ndarray) -> float:
        """``evaluate`` at ``point: (D,)``: within a task of ``map`` together with the points of the other tasks."""
        task = self.tasks.get(get_ident())
        if task is None:
            return float(self.evaluate(point[None])[0])
        with self.condition:
            self.waiting[task] = point
            self._answer()
            self.condition.wait_for(lambda: task in self.answers or self.error is not None)
            if self.error is not None:
                raise self.error
            return self.answers.pop(task)

    def _batch(self, function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        results: list[Any] = [None] * len(items)
        self.running, self.error, self.waiting, self.answers = len(items), None, {}, {}

        def work(task: int) -> None:
            with self.condition:
                self.tasks[get_ident()] = task
            try:
                results[task] = function(items[task])
            except Exception as error:
                self.error = self.error or error
            with self.condition:
                del self.tasks[get_ident()]
                self.running -= 1
                self._answer()

        list(self.threads.map(work, range(len(items))))
        if self.error is not None:
            raise self.error
        return results

    def _answer(self) -> None:
        """Evaluates all points that wait, once every running task has one."""
        if self.error is None and self.waiting and len(self.waiting) == self.running:
            order = sorted(self.waiting)
            try:
                values = self.evaluate(np.stack([self.waiting[task] for task in order]))
                self.answers = dict(zip(order, values.tolist(), strict=True))
            except Exception as error:
                self.error = error
            self.waiting = {}
        if self.answers or self.error is not None:
            self.condition.notify_all()
