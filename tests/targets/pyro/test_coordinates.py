"""Moved coordinates: exact densities, gradients and round trips on many kinds of site."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from amortized.targets.pyro.batching import Loop, Plate
from amortized.targets.pyro.coordinates import Standardized, find, frame_of, place
from amortized.targets.pyro.frames import frames
from amortized.targets.pyro.target import PyroTarget

Y, MASK = torch.tensor([0.3, -1.2, 0.8, 2.0]), torch.tensor([True, False, True, True])


def many_kinds(y, mask):
    mu = pyro.sample("mu", dist.Normal(1.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    s = pyro.sample("s", dist.LogNormal(0.3, 0.5))
    k = pyro.sample("k", dist.HalfNormal(tau))
    r = pyro.sample("r", dist.Exponential(1 / tau))
    g = pyro.sample("g", dist.Gamma(2.0, 1 / s))
    ln = pyro.sample("ln", dist.LogNormal(mu * 0.1, s))
    with pyro.plate("n", 4, dim=-1):
        th = pyro.sample("th", dist.Normal(mu, tau))
        st = pyro.sample("st", dist.StudentT(4.0, mu, s).mask(mask))
        with pyro.plate("q", 3, dim=-2):
            la = pyro.sample("la", dist.Laplace(th, s))
    ev = pyro.sample("ev", dist.Normal(mu, tau).expand([3]).to_event(1))
    ca = pyro.sample("ca", dist.Cauchy(mu, torch.ones(2) * s).to_event(1))
    affine = [dist.transforms.AffineTransform(1.0, -s)]
    tr = pyro.sample("tr", dist.TransformedDistribution(dist.Normal(mu, 1.0).expand([2]), affine).to_event(1))
    tril = torch.stack([torch.stack([tau, 0 * tau]), torch.stack([mu * 0.1, s])])
    mv = pyro.sample("mv", dist.MultivariateNormal(torch.stack([mu, s]), scale_tril=tril))
    with pyro.plate("w", 3):
        mw = pyro.sample("mw", dist.MultivariateNormal(torch.stack([mu, s]), scale_tril=tril))
    ig = pyro.sample("ig", dist.InverseGamma(3.0, tau))
    we = pyro.sample("we", dist.Weibull(s, 1.5))
    lg = pyro.sample("lg", dist.Logistic(mu, s))
    gu = pyro.sample("gu", dist.Gumbel(mu, tau))
    each = [dist.transforms.AffineTransform(mu, torch.stack([s, tau]), event_dim=1)]
    te = pyro.sample("te", dist.TransformedDistribution(dist.StudentT(5.0, torch.zeros(2), 1.0).to_event(1), each))
    lo = pyro.sample("lo", dist.Uniform(0.0, tau))
    pyro.sample("di", dist.Dirichlet(torch.ones(3)))
    with poutine.mask(mask=mask):
        pyro.sample("mm", dist.Normal(mu, tau).expand([4]).to_event(0))
    total = th + st + la.sum(0) + ev.sum() + ca.sum() + tr.sum() + mv.sum() + mw.sum() + lo + k + r + g + ln
    total = total + ig + we + lg + gu + te.sum()
    pyro.sample("y", dist.Normal(total, 1.0).to_event(1), obs=y)


def log_dets_between(moved, plain, u):
    """log |det dx/du| at ``u: (B, D)``, from one target's coordinates to the other's through the sites."""

    def to_plain(point):
        return plain.program.unconstrain(moved.program.unpack(point)[0])

    with pyro.validation_enabled(False):
        jacobians = [torch.autograd.functional.jacobian(to_plain, point) for point in u]
    return torch.stack([torch.linalg.slogdet(jacobian)[1] for jacobian in jacobians])


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_frames_of_many_kinds(in_float64):
    found = frames(PyroTarget(many_kinds, (Y.double(), MASK), capture_seconds=0).program)
    one_by_one = ("k", "r", "g", "ln", "th", "st", "la", "ev", "ca", "tr", "mv", "mw")
    assert found.moving == (*one_by_one, "ig", "we", "lg", "gu", "te", "mm")
    assert found.constant == ("mu", "tau", "s") and found.without == ("lo", "di") and not found.differing


@pytest.mark.parametrize("kind", ["zero", "random", "one"])
def test_density_gradient_and_round_trip_are_exact(in_float64, kind):
    data, generator = (Y.double(), MASK), torch.Generator().manual_seed(0)
    plain = PyroTarget(many_kinds, data)
    latents, found = plain.latents, frames(plain.program)
    make = {"zero": torch.zeros, "one": torch.ones, "random": lambda shape: torch.rand(shape, generator=generator)}
    centring = {name: make[kind](latents[name].unconstrained_shape) for name in found.moving + found.constant}
    moved = PyroTarget(many_kinds, data, centring=centring)
    assert moved.batching == plain.batching == "vmap (captured)"
    x = torch.randn(8, plain.dim, generator=generator)
    sites = plain.constrain(x)
    u = moved.unconstrain(sites)
    back = moved.constrain(u)
    assert all(torch.allclose(back[name], sites[name], atol=1e-9) for name in latents)

    expected = plain.log_prob(x[:2]) + log_dets_between(moved, plain, u[:2])
    assert torch.allclose(moved.log_prob(u[:2]), expected, atol=1e-9)
    value, score = moved.log_prob_and_score(u[:3])
    steps = 1e-6 * torch.eye(plain.dim)
    slopes = torch.stack([(moved.log_prob(u[:3] + h) - moved.log_prob(u[:3] - h)) / 2e-6 for h in steps], 1)
    assert ((slopes - score).abs() / (1 + score.abs())).max() < 1e-5
    assert torch.allclose(Loop(moved.program).log_prob(u[:3]), value, atol=1e-9)


def test_elements_of_a_multivariate_normal_move_as_a_chain_of_normals_does(in_float64):
    """x_1 ~ N(m_1, a) and x_2 ~ N(m_2 + b z_1, d), z_1 = (x_1 − m_1) / a, each with its own c."""
    m, c = torch.tensor([0.7, -2.0]), torch.tensor([0.9, 0.25])
    a, b, d = torch.tensor([0.05, 3.0, 0.4])
    frame = frame_of(dist.MultivariateNormal(m, scale_tril=torch.stack([torch.stack([a, 0 * a]), torch.stack([b, d])])))
    u = torch.tensor([1.3, 0.6])
    placed = place(frame, u, c)
    first = place(frame_of(dist.Normal(m[0], a)), u[0], c[0])
    second = place(frame_of(dist.Normal(m[1] + b * first.z, d)), u[1], c[1])
    for name in ("v", "log_det", "z"):
        expected = torch.stack([getattr(first, name), getattr(second, name)])
        assert torch.allclose(getattr(placed, name), expected, rtol=1e-12), name
    assert torch.allclose(find(frame, placed.v, c), u, rtol=1e-12)


def test_c_of_one_is_the_model_as_written_bit_for_bit():
    plain = PyroTarget(many_kinds, (Y, MASK))
    ones = {name: torch.ones(latent.unconstrained_shape) for name, latent in plain.latents.items()}
    moved = plain.moved_to(ones, 0, 20.0)
    x = torch.randn(16, plain.dim, generator=torch.Generator().manual_seed(0))
    for one, other in zip(moved.log_prob_and_score(x), plain.log_prob_and_score(x), strict=True):
        assert torch.equal(one, other)


def partly_observed(y, known):
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 2.0)), pyro.sample("tau", dist.HalfNormal(2.0))
    with pyro.plate("n", 4):
        theta = pyro.sample("theta", dist.Normal(mu, tau), obs=y, obs_mask=known)
        pyro.sample("z", dist.Normal(theta, 1.0), obs=2 * y)
    pair = dist.MultivariateNormal(torch.stack([mu, mu]), scale_tril=torch.eye(2) * tau)
    with pyro.plate("m", 3):
        pyro.sample("pair", pair, obs=y[:2].expand(3, 2), obs_mask=known[:3])


def test_only_the_unobserved_part_of_a_site_moves(in_float64):
    data, generator = (Y.double(), torch.tensor([True, False, False, True])), torch.Generator().manual_seed(0)
    plain = PyroTarget(partly_observed, data)
    moving = frames(plain.program).moving
    assert moving == ("theta_unobserved", "pair_unobserved") and plain.dim == 2 + 2 + 4
    moved = plain.moved_to({name: torch.full(plain.latents[name].unconstrained_shape, 0.3) for name in moving}, 0, 20.0)
    x = torch.randn(8, plain.dim, generator=generator)
    sites = plain.constrain(x)
    u = moved.unconstrain(sites)
    back = moved.constrain(u)
    assert not torch.allclose(u, x) and all(torch.allclose(back[name], sites[name]) for name in sites)
    expected = plain.log_prob(x[:2]) + log_dets_between(moved, plain, u[:2])
    assert torch.allclose(moved.log_prob(u[:2]), expected, atol=1e-9)
    ours, theirs = moved.pointwise_log_likelihood(u), plain.pointwise_log_likelihood(x)
    assert all(torch.allclose(ours[name], theirs[name], equal_nan=True) for name in theirs)


def test_an_outer_plate_of_particles_gives_the_same():
    def model():
        scale = pyro.sample("scale", dist.HalfNormal(2.0))
        with pyro.plate("n", 4):
            x = pyro.sample("x", dist.Normal(scale, scale))
            pyro.sample("y", dist.Normal(x, 1.0), obs=Y)

    target = PyroTarget(model, centring={"x": torch.tensor([0.0, 0.3, 0.7, 1.0])})
    x = torch.randn(5, target.dim, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Plate(target.program).log_prob(x), target.log_prob(x), atol=1e-5)


@pytest.mark.parametrize("log_scale", [-15.0, -80.0])
def test_small_scales_in_float32(log_scale):
    def model():
        log = pyro.sample("log", dist.Normal(0.0, 100.0))
        pyro.sample("x", dist.Normal(3.0, log.exp()))

    target = PyroTarget(model, centring={"x": torch.zeros(())})
    x = torch.tensor([[log_scale, 0.7]])
    standard = dist.Normal(0.0, 100.0).log_prob(x[:, 0]) + dist.Normal(0.0, 1.0).log_prob(x[:, 1])
    assert torch.allclose(target.log_prob(x), standard, atol=1e-4)
    assert target.log_prob_and_score(x)[1].isfinite().all()


def test_the_model_meets_its_own_distribution():
    seen = []

    class Reads(poutine.messenger.Messenger):
        def _pyro_post_sample(self, message):
            seen.append(type(message["fn"]).__name__)

    def model():
        scale = pyro.sample("scale", dist.HalfNormal(1.0))
        with Reads():
            pyro.sample("x", dist.Normal(0.0, scale))

    PyroTarget(model, centring={"x": torch.zeros(())})
    assert set(seen) == {"Normal"}


def test_a_sub_class_of_a_known_family_has_no_frame():
    class Own(dist.Normal):
        def log_prob(self, value):
            return -value.abs()

    assert frame_of(Own(0.0, 1.0)) is None


def test_c_of_one_at_a_vanished_scale_stays_put():
    frame = frame_of(dist.Normal(torch.tensor(1.0), torch.tensor(0.0), validate_args=False))
    placed = place(frame, torch.tensor(2.5), torch.tensor(1.0))
    assert placed.v == 2.5 and placed.log_det == 0


def test_a_site_that_differs_between_states_of_a_discrete_latent_does_not_move():
    def model():
        z = pyro.sample("z", dist.Bernoulli(0.4), infer={"enumerate": "parallel"})
        scale = pyro.sample("scale", dist.HalfNormal(1.0))
        pyro.sample("mixed", dist.Normal(z, scale))
        w = pyro.sample("w", dist.Normal(0.0, scale))
        pyro.sample("y", dist.Normal(w + z, 1.0), obs=torch.tensor(0.5))

    plain = PyroTarget(model)
    assert frames(plain.program).moving == ("w",) and frames(plain.program).differing == ("mixed",)
    moved = PyroTarget(model, centring={"w": torch.zeros(())})
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    u = moved.unconstrain(plain.constrain(x))
    scale = plain.constrain(x)["scale"]
    assert torch.allclose(moved.log_prob(u), plain.log_prob(x) + scale.log(), atol=1e-5)


def test_a_turned_axis_of_a_skewed_family_has_no_frame():
    turned = dist.TransformedDistribution(dist.Gumbel(0.0, 1.0), [dist.transforms.AffineTransform(0.0, -1.0)])
    assert frame_of(dist.Gumbel(0.0, 1.0)) is not None and frame_of(turned) is None


def test_the_curvature_of_a_prior_is_that_of_its_standardized_density(in_float64):
    z = torch.tensor([0.4, -1.1])
    known = {
        dist.Normal(1.0, 2.0).expand([2]): torch.ones(2),
        dist.StudentT(4.0, 1.0, 2.0).expand([2]).to_event(1): 5 * (4 - z**2) / (4 + z**2) ** 2,
        dist.HalfNormal(3.0).expand([2]): 2 * (2 * z).exp(),
        dist.Exponential(0.2).expand([2]): z.exp(),
    }
    for fn, expected in known.items():
        frame = frame_of(fn)
        standard = Standardized(fn, frame, place(frame, z, torch.zeros(2)))
        found = standard.curvature()
        assert torch.allclose(found, expected), fn
