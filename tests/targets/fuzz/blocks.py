"""Statements around other statements, as text: plates, masks, scales; and which statements a model is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

from tests.targets.fuzz import discrete, statements
from tests.targets.fuzz.sites import SCALARS, fill
from tests.targets.fuzz.writer import Plate, Writer


@contextmanager
def plate(w: Writer) -> Iterator[None]:
    """A vectorized plate of its own around the lines within."""
    taken = {plate.dim for plate in w.plates}
    free = [dim for dim in (-1, -2, -3) if dim not in taken]
    explicit = w.chance(2)
    dim = w.pick(free) if explicit else free[0]
    name, size = w.name("plate"), w.pick((2, 1) if w.plates else (3, 2, 4, 1))
    extra = f", dim={dim}" if explicit else ""
    scales: tuple[str, ...] = ()
    opening = f'with pyro.plate("{name}", {size}{extra})'
    if w.chance(6):
        opening = f'with pyro.plate("{name}", {size}, subsample_size={size}{extra})'
    elif w.chance(8) and not w.has_states:
        opening, scales = f'with pyro.plate("{name}", {2 * size}, subsample=torch.arange({size}){extra})', ("2",)
    with w.block(opening), w.plate(Plate(name, size, dim)), w.scale(*scales):
        yield


def plated(w: Writer) -> None:
    with plate(w):
        write(w, 1, 3)


def sequential(w: Writer) -> None:
    index, name = w.name("i"), w.name("plate")
    count = w.pick((2, 3))
    site, y = w.name("x"), w.name("y")
    data = w.argument(w.constant("real", (count, *w.batch)))
    with w.block(f'for {index} in pyro.plate("{name}", {count})'):
        text, kinds, kind = w.pick(SCALARS)
        w.write(f'{site} = pyro.sample(f"{site}_{{{index}}}", {fill(w, text, kinds)})')
        loc = site if kind != "positive" else f"torch.log({site})"
        w.write(f'pyro.sample(f"{y}_{{{index}}}", dist.Normal({loc}, 1.5), obs={data}[{index}])')


def masked(w: Writer) -> None:
    mask = w.pick(("False", "True")) if w.chance(4) else w.booleans(w.batch)
    with w.block(f"with poutine.mask(mask={mask})"):
        write(w, 1, 2)


def scaled(w: Writer) -> None:
    if w.has_states:
        return statements.likelihood(w)
    scale = w.pick(("0.5", "2.5", "torch.tensor(1.5)"))
    with w.block(f"with poutine.scale(scale={scale})"), w.scale(scale):
        write(w, 1, 2)


def switched(w: Writer) -> None:
    """Statements that depend on a discrete latent."""
    kind = w.pick(discrete.KINDS)
    with kind(w):
        write(w, 1, 2)


def plated_switch(w: Writer) -> None:
    with plate(w):
        switched(w)


SIMPLE: tuple[Callable[[Writer], None], ...] = (
    *3 * (statements.latent,),
    *2 * (statements.vector,),
    *2 * (statements.likelihood,),
    statements.deterministic,
    statements.factor,
    statements.parameter,
    statements.missing,
)
NESTING = (
    *2 * (plated,),
    masked,
    scaled,
    sequential,
    statements.branch,
    statements.loop,
    switched,
    plated_switch,
    discrete.chain,
)
DEEPEST = 4


def write(w: Writer, at_least: int, at_most: int) -> None:
    """A few statements, none around others where blocks are deep already."""
    for _ in range(w.draw(st.integers(at_least, at_most))):
        room = w.depth < w.base + DEEPEST and len(w.plates) < 3
        w.pick((*SIMPLE, *NESTING) if room else SIMPLE)(w)
