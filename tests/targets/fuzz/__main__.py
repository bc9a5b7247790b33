"""``python -m tests.targets.fuzz --count 2000 --seed 0``: the shortest program of each kind of mismatch so far."""

from __future__ import annotations

import argparse
import collections
import sys
import time

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.targets.fuzz.compare import Mismatch, compare
from tests.targets.fuzz.program import Program, programs

A_SEED = 20  # programs a seed: hypothesis varies its own earlier examples, so many seeds differ more than one


def draw(count: int, first: int) -> list[Program]:
    found: list[Program] = []
    for i in range((count + A_SEED - 1) // A_SEED):

        @seed(first * 1_000_003 + i)
        @settings(
            max_examples=A_SEED,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(programs())
        def collect(program: Program) -> None:
            found.append(program)

        collect()
    return list(dict.fromkeys(found))[:count]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    shortest: dict[str, Mismatch] = {}
    counts: collections.Counter[str] = collections.Counter()
    for done, program in enumerate(draw(options.count, options.seed)):
        if done and done % 100 == 0:
            print(f"{done} programs, {time.perf_counter() - began:.0f} s", file=sys.stderr)
        try:
            counts[f"right: {compare(program)}"] += 1
        except Mismatch as found:
            counts[f"WRONG: {found.kind}"] += 1
            known = shortest.get(found.kind)
            if known is None or len(found.program.source) < len(known.program.source):
                shortest[found.kind] = found
                print(f"{found}\n{'-' * 80}", flush=True)
    for kind, number in counts.most_common():
        print(f"{number:6d}  {kind}")
    print(f"{sum(counts.values())} programs, {time.perf_counter() - began:.0f} s, {len(shortest)} kinds of mismatch")
    return bool(shortest)


if __name__ == "__main__":
    sys.exit(main())
