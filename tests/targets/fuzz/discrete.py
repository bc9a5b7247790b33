"""Finite discrete latents as text: switches, discrete data of which some are missing, Markov chains.

Each writer of a latent is a context: the lines within may use its state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from tests.targets.fuzz import statements
from tests.targets.fuzz.writer import Writer

PROBABILITIES = ("[0.3, 0.7]", "[0.6, 0.4]", "[0.2, 0.5, 0.3]")


def _states(w: Writer, text: str, values: int) -> None:
    """Expressions of an index's state: elements of a tensor of locations and of one of scales."""
    w.define(f"{w.constant('real', (values,))}[{text}]", "real", state=True)
    w.define(f"{w.constant('positive', (values,))}[{text}]", "positive", state=True)


@contextmanager
def bernoulli(w: Writer) -> Iterator[None]:
    count = 2 ** math.prod(w.batch)
    if not w.takes_states(count):
        yield statements.likelihood(w)
        return
    name, probability = w.name("z"), w.unit()
    with w.states(count):
        w.write(f'{name} = pyro.sample("{name}", dist.Bernoulli({probability}))')
        w.define(name, "real", state=True)
        w.define(f"(0.5 + {name})", "positive", state=True)
        yield


@contextmanager
def categorical(w: Writer) -> Iterator[None]:
    probabilities = w.pick(PROBABILITIES)
    values = probabilities.count(",") + 1
    count = values ** math.prod(w.batch)
    if not w.takes_states(count):
        yield statements.likelihood(w)
        return
    name, weights = w.name("z"), f"torch.tensor({probabilities})"
    if w.chance(2):
        weights = w.name("weights")
        w.write(f'{weights} = pyro.sample("{weights}", dist.Dirichlet(2 * torch.ones({values})))')
    with w.states(count):
        w.write(f'{name} = pyro.sample("{name}", dist.Categorical({weights}))')
        _states(w, name, values)
        yield


@contextmanager
def masked(w: Writer) -> Iterator[None]:
    """A discrete latent and data of it under one mask of the distributions' own."""
    count = 2 ** math.prod(w.batch)
    if not w.takes_states(count):
        yield statements.likelihood(w)
        return
    name, mask, y = w.name("z"), w.name("mask"), w.name("y")
    with w.states(count):
        w.write(f"{mask} = {w.booleans(w.batch)}")
        w.write(f'{name} = pyro.sample("{name}", dist.Bernoulli({w.unit()}).mask({mask}))')
        data = w.argument(w.constant("real", w.batch))
        w.write(f'pyro.sample("{y}", dist.Normal({name} - {w.real()}, 1.0).mask({mask}), obs={data})')
    yield


@contextmanager
def missing(w: Writer) -> Iterator[None]:
    """Discrete data of which some are missing."""
    count = 2 ** math.prod(w.batch)
    if not w.takes_states(count):
        yield statements.likelihood(w)
        return
    name, probability = w.name("z"), w.unit()
    known = w.argument(w.booleans(w.batch), "known")
    with w.states(count):
        data = statements.data_of(w, "bit", w.batch)
        w.write(f'{name} = pyro.sample("{name}", dist.Bernoulli({probability}), obs={data}, obs_mask={known})')
        w.define(name, "real", state=True)
        yield


KINDS = (bernoulli, categorical, masked, missing)


def chain(w: Writer) -> None:
    """A hidden Markov chain; in a plate, chains of several lengths under a mask."""
    steps = w.pick((3, 2, 4))
    lengths = [w.pick((steps, 1, 2)) for _ in range(math.prod(w.batch))] if w.plates else [steps]
    count = 2 ** sum(min(length, steps) for length in lengths)
    if not w.takes_states(count):
        return statements.likelihood(w)
    z, y, rows = w.name("z"), w.name("y"), w.name("rows")
    stay = w.pick([v.text for v in w.visible("unit") if not v.plates and not v.state] or ["torch.tensor(0.8)"])
    data = w.argument(w.constant("real", (steps, *w.batch)))
    with w.states(count):
        w.write(f"{rows} = torch.stack([torch.stack([{stay}, 1 - {stay}]), torch.tensor([0.3, 0.7]).to({stay})])")
        w.write(f"{z} = 0")
        with w.block(f"for t in pyro.markov(range({steps}))"):
            if w.plates:
                w.write(f"lengths = torch.tensor({lengths}).reshape({', '.join(map(str, w.batch))})")
                w.write("with poutine.mask(mask=t < lengths):")
                w.depth += 1
            w.write(f'{z} = pyro.sample(f"{z}_{{t}}", dist.Categorical({rows}[{z}]))')
            loc = f"{w.constant('real', (2,))}[{z}]"
            w.write(f'pyro.sample(f"{y}_{{t}}", dist.Normal({loc} + {w.real()}, {w.positive()}), obs={data}[t])')
            w.depth -= bool(w.plates)
