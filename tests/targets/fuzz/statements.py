"""Single statements of a model as text: latents, data, missing data, factors, parameters, branches, loops."""

from __future__ import annotations

from tests.targets.fuzz.sites import LIKELIHOODS, SCALARS, VECTORS, fill
from tests.targets.fuzz.writer import Writer

LOC_SCALE = ("dist.Normal(", "dist.StudentT(", "dist.Laplace(", "dist.Cauchy(")


def latent(w: Writer) -> None:
    text, kinds, kind = w.pick(SCALARS)
    name = w.name("x")
    fn = fill(w, text, kinds)
    plain = w.chance(8)
    if plain and w.plates:
        fn = f"{fn}.mask({w.booleans(w.batch)})"
    elif plain:
        fn = f"{fn}.mask({w.pick((True, False))})"
    elif w.chance(10) and w.plates:
        fn = f"{fn}.expand({list(w.batch)})"
    w.write(f'{name} = pyro.sample("{name}", {fn})')
    if not plain and fn.endswith(")") and ".expand" not in fn and not w.has_states:
        if text.startswith(LOC_SCALE) and w.chance(5):
            w.reparametrized[name] = f"LocScaleReparam({w.pick(('0.0', '0.4', 'None'))})"
        elif text.startswith("dist.TransformedDistribution") and w.chance(3):
            w.reparametrized[name] = "TransformReparam()"
        elif not w.plates and kind == "real" and text.startswith(LOC_SCALE) and w.chance(8):
            w.conditioned[name] = w.constant(kind)
    w.define(name, kind)


def vector(w: Writer) -> None:
    known = [entry for entry in VECTORS if not (w.plates and "LKJ(" in entry[0])]  # Pyro's LKJ does not expand
    text, kinds, uses = w.pick(known)
    name = w.name("v")
    fn = fill(w, text, kinds)
    if w.chance(10):
        fn = f"{fn}.mask({w.booleans(w.batch)})"
    w.write(f'{name} = pyro.sample("{name}", {fn})')
    for use, kind in uses:
        w.define(use.format(name), kind)


def flat(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Arguments that vary over no plate, so that a dimension on the right can be an event's."""
    return tuple(f"flat {kind}" for kind in kinds)


def data_of(w: Writer, kind: str, shape: tuple[int, ...]) -> str:
    if kind not in ("count", "bit"):
        return w.argument(w.constant(kind, shape))
    pool = (1.0, 0.0, 3.0, 2.0) if kind == "count" else (1.0, 0.0)
    count = 1
    for size in shape:
        count *= size
    values = [w.pick(pool) for _ in range(count)]
    text = f"torch.tensor({values}{w.dtype}).reshape({', '.join(map(str, shape))})"
    return w.argument(text if shape else f"torch.tensor({values[0]}{w.dtype})")


def likelihood(w: Writer) -> None:
    text, kinds, kind = w.pick(LIKELIHOODS)
    wide = w.chance(6)
    fn, shape, name = fill(w, text, flat(kinds) if wide else kinds), w.batch, w.name("y")
    if wide:
        fn, shape = f"{fn}.expand({[*shape, 2]}).to_event(1)", (*shape, 2)
    elif w.chance(8):
        fn = f"{fn}.mask({w.booleans(shape)})"
    w.write(f'pyro.sample("{name}", {fn}, obs={data_of(w, kind, shape)})')


def missing(w: Writer) -> None:
    """Data of which a mask says what is known; the unknown elements are latents."""
    text, kinds, kind = w.pick([entry for entry in LIKELIHOODS if entry[2] in ("real", "positive", "unit")])
    wide = w.chance(5)
    fn, shape, name = fill(w, text, flat(kinds) if wide else kinds), w.batch, w.name("m")
    known = w.argument(w.booleans(shape), "known")
    if wide:
        fn, full = f"{fn}.expand({[*shape, 2]}).to_event(1)", (*shape, 2)
        w.write(f'{name} = pyro.sample("{name}", {fn}, obs={data_of(w, kind, full)}, obs_mask={known})')
        w.define(f"{name}[..., 0]", kind)
        return
    w.write(f'{name} = pyro.sample("{name}", {fn}, obs={data_of(w, kind, shape)}, obs_mask={known})')
    w.define(name, kind)


def factor(w: Writer) -> None:
    w.write(f'pyro.factor("{w.name("f")}", -0.5 * ({w.real()} - {w.real()}) ** 2 * torch.ones({list(w.batch)}))')


def deterministic(w: Writer) -> None:
    kind = w.pick(("real", "positive", "unit"))
    name = w.name("d")
    w.write(f'{name} = pyro.deterministic("{name}", {w.expression(kind)} * torch.ones({list(w.batch)}))')
    w.define(name, kind, state=w.has_states)


def parameter(w: Writer) -> None:
    name = w.name("p")
    if w.chance(2):
        w.write(f'{name} = pyro.param("{name}", {w.constant("positive")}, constraint=C.positive)')
        w.define(name, "positive")
    else:
        w.write(f'{name} = pyro.param("{name}", {w.constant("real")})')
        w.define(name, "real")


def branch(w: Writer) -> None:
    """A Python branch on the value of a latent."""
    found = [v for v in w.visible("real") if not v.state]
    if not found:
        return latent(w)
    name, value = w.name("b"), w.pick(found).text
    test = f"{value} > 0.4" if not w.plates and not any(v.plates for v in found) else f"({value} > 1.0).any()"
    w.write(f"{name} = {value} if {test} else 0.5 * {value}")
    w.define(name, "real")


def loop(w: Writer) -> None:
    """States filled in place by a loop, and data of them."""
    flat = [v.text for v in w.visible("real") if not v.plates and not v.state and not w.plates]
    if not flat:
        return latent(w)
    name, start, step = w.name("s"), w.pick(flat), w.pick(flat)
    how = w.pick(("torch.zeros(4)", "torch.empty(4)", f"torch.ones(4) * {start}", f"{start}.new_zeros(4)"))
    w.write(f"{name} = {how}")
    w.write(f"{name}[0] = {start}")
    with w.block("for t in range(1, 4)"):
        w.write(w.pick((f"{name}[t] = 0.5 * {name}[t - 1].clone() + {step}", f"{name}[t] = torch.tanh({step}) * t")))
    if w.chance(3):
        w.write(f"{name}[1:] += {w.number('real')}")
    y = w.name("y")
    data = w.argument(w.constant("real", (4,)))
    w.write(f'pyro.sample("{y}", dist.Normal({name}, {w.number("positive")}).to_event(1), obs={data})')
