"""Elements that ``obs_mask`` observes have no coordinates; the density is that of the known data."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.reparam import LocScaleReparam

from amortized.targets.pyro.batching import Loop, Plate, Vmap
from amortized.targets.pyro.predictive import posterior_predictive, prior_predictive, unmasked_elements
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError, undisturbed

Y = torch.tensor([0.5, 1.0, torch.nan, 2.0])
KNOWN = ~Y.isnan()


def missing(y, known):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 4):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y, obs_mask=known)


def program(model, *args):
    return Program(model, args, {}, discover(model, args, {}, seed=0))


def by_hand(mean, unknown):
    return sum(dist.Normal(mean, 1.0).log_prob(value) for value in (*Y[KNOWN], unknown)) + dist.Normal(
        0.0, 1.0
    ).log_prob(mean)


@pytest.mark.parametrize("fill", [torch.nan, 0.0, 7.0])
@pytest.mark.parametrize("batching", [Loop, Vmap, Plate])
def test_the_density_and_its_gradient(batching, fill):
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    want = by_hand(*x.T)
    (want_score,) = torch.autograd.grad(want.sum(), x)
    value, score = batching(program(missing, Y.nan_to_num(fill), KNOWN)).log_prob_and_score(x.detach())
    torch.testing.assert_close(value, want.detach())
    torch.testing.assert_close(score, want_score)


def test_the_target_counts_the_unknown_and_holds_the_completed_site():
    target = PyroTarget(missing, (Y, KNOWN))
    assert target.dim == 2 and target.batching == "vmap (captured)"
    x = torch.randn(3, 2)
    sites = target.constrain(x)
    for name in ("y", "y_unobserved"):
        assert sites[name][:, KNOWN].equal(Y[KNOWN].expand(3, 3)) and sites[name][:, 2].equal(x[:, 1])
    torch.testing.assert_close(target.unconstrain(sites), x)
    values, log_dets = target.unpack(x)
    assert values["y_unobserved"].shape == (3, 4) and log_dets["y_unobserved"].tolist() == [0.0] * 3
    terms = target.pointwise_log_likelihood(x)["y_observed"]
    assert terms.isnan().equal((~KNOWN).expand(3, 4))
    torch.testing.assert_close(terms[:, 0], dist.Normal(x[:, 0], 1.0).log_prob(Y[0]))


@pytest.mark.parametrize(
    "known, dim", [(torch.tensor(True), 1), (torch.tensor(False), 5), (torch.ones(4, dtype=torch.bool), 1)]
)
def test_all_or_nothing_is_known(known, dim):
    target = PyroTarget(missing, (Y.nan_to_num(), known))
    assert target.dim == dim and target.batching == "vmap (captured)"
    x = torch.randn(2, dim)
    torch.testing.assert_close(target.unconstrain(target.constrain(x)), x)
    unknown = x[:, 1:] if dim == 5 else Y.nan_to_num().expand(2, 4)
    want = dist.Normal(0.0, 1.0).log_prob(x[:, 0]) + dist.Normal(x[:, :1], 1.0).log_prob(unknown).sum(1)
    torch.testing.assert_close(target.log_prob(x), want)


def rows_of_vectors():
    spread = pyro.sample("spread", dist.HalfNormal(1.0))
    with pyro.plate("rows", 3):
        w = pyro.sample(
            "w",
            dist.Dirichlet(torch.ones(3) + spread),
            obs=torch.full((3, 3), 1 / 3),
            obs_mask=torch.tensor([True, False, True]),
        )
        pyro.sample("y", dist.Normal(w[..., 0], 1.0), obs=torch.zeros(3))


def test_a_row_of_a_multivariate_site_is_known_as_a_whole():
    found = program(rows_of_vectors)
    latent = found.structure.latents["w_unobserved"]
    assert latent.size == 2 and found.structure.dim == 3 and latent.shape == (3, 3)
    x = torch.tensor([0.2, -0.4, 0.9])
    with undisturbed():
        values, log_dets = found.unpack(x)
        density, back = found.log_prob(x), found.unconstrain(values)
    torch.testing.assert_close(back, x)
    spread, row = x[0].exp(), values["w_unobserved"][1]
    simplex = torch.distributions.biject_to(dist.constraints.simplex)
    jacobian = simplex.log_abs_det_jacobian(x[1:], simplex(x[1:]))
    torch.testing.assert_close(log_dets["w_unobserved"], jacobian)
    prior_of_row = dist.Dirichlet(torch.ones(3) + spread)
    want = dist.HalfNormal(1.0).log_prob(spread) + x[0] + prior_of_row.log_prob(row) + jacobian
    want = want + 2 * prior_of_row.log_prob(torch.full((3,), 1 / 3))
    want = (
        want
        + dist.Normal(torch.stack([torch.tensor(1 / 3), row[0], torch.tensor(1 / 3)]), 1.0)
        .log_prob(torch.zeros(3))
        .sum()
    )
    torch.testing.assert_close(density, want)


def test_a_support_that_depends_on_a_latent_adds_no_jacobian_of_known_elements():
    def model():
        top = pyro.sample("top", dist.HalfNormal(5.0))
        with pyro.plate("n", 2):
            known = torch.tensor([True, False])
            pyro.sample("x", dist.Uniform(0.0, 10 + top), obs=torch.tensor([1.0, 0.0]), obs_mask=known)

    found, x = program(model), torch.tensor([0.3, -0.8])
    with undisturbed():
        got = found.log_prob(x)
    top, u = x[0].exp(), torch.sigmoid(x[1])
    want = dist.HalfNormal(5.0).log_prob(top) + x[0] - (10 + top).log() + (u * (1 - u)).log()
    torch.testing.assert_close(got, want)


def test_a_reparametrized_half_has_no_coordinates_for_known_elements_either():
    reparametrized = poutine.reparam(missing, {"y_unobserved": LocScaleReparam(0.0)})
    target = PyroTarget(reparametrized, (Y, KNOWN))
    assert target.dim == 2
    x = torch.randn(3, 2)
    torch.testing.assert_close(target.constrain(x)["y"][:, 2], x.sum(1))
    normal = dist.Normal(0.0, 1.0).log_prob
    want = normal(x).sum(1) + normal(Y[KNOWN] - x[:, :1]).sum(1)
    torch.testing.assert_close(target.log_prob(x), want)


def test_a_latent_under_a_plain_mask_keeps_its_coordinates():
    def model():
        with pyro.plate("n", 3), poutine.mask(mask=torch.tensor([True, False, True])):
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x.sum(), 1.0), obs=torch.tensor(1.0))

    assert discover(model, (), {}, 0).dim == 3


def test_predictions_and_the_prior_agree():
    target = PyroTarget(missing, (Y, KNOWN))
    sites = target.constrain(torch.randn(5, 2))
    assert posterior_predictive(target, sites)["y_observed"].shape == (5, 4)
    latent, simulated = prior_predictive(target, 2_000)
    assert latent["y"].shape == (2_000, 4) and simulated["y_observed"].shape == (2_000, 4)
    assert abs(float(latent["y"].std(0).mean()) - 2**0.5) < 4 * 2**0.5 / (2 * 2_000) ** 0.5
    assert unmasked_elements(target, sites)["y_observed"].equal(KNOWN)


@pytest.mark.parametrize(
    "obs, known, found",
    [
        (Y, True, "obs_mask is True or False"),
        (None, KNOWN, "'y_unobserved' has obs_mask without data"),
    ],
)
def test_refusals(obs, known, found):
    with pytest.raises(ModelError, match=found):
        discover(missing, (obs, known), {}, 0)


def test_a_mask_that_depends_on_a_latent_is_refused():
    def model(far):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("n", 4):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.zeros(4), obs_mask=mean + torch.arange(4.0) > far)

    for far in (0.5, 50.0):  # decided by the points near 0, and by none of them
        with pytest.raises(ModelError, match="'y_unobserved': its obs_mask depends on a latent"):
            discover(model, (far,), {}, 0)


def test_one_draw_for_several_places_is_refused():
    def model():
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=Y, obs_mask=KNOWN)

    with pytest.raises(ModelError, match=r"obs_mask has shape \(4,\).*batch shape \(\).*pyro.plate"):
        discover(model, (), {}, 0)


def test_missing_counts_name_what_to_type():
    def model():
        rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
        with pyro.plate("n", 4):
            pyro.sample("y", dist.Poisson(rate), obs=Y.nan_to_num(), obs_mask=KNOWN)

    with pytest.raises(ModelError, match="Poisson takes infinitely many values.*poutine.mask"):
        discover(model, (), {}, 0)


def test_a_users_own_sites_with_such_names_are_ordinary():
    def model(first, second, third):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("n", 3), poutine.mask(mask=KNOWN[1:]):
            pyro.sample(first, dist.Normal(mean, 1.0), obs=torch.zeros(3))
            latent = pyro.sample(second, dist.Normal(mean, 2.0))
        with pyro.plate("m", 3):
            pyro.sample(third, dist.Normal(latent, 1.0), obs=torch.ones(3))

    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    own, plain = PyroTarget(model, ("x_observed", "x_unobserved", "w")), PyroTarget(model, ("s", "t", "w"))
    assert own.dim == plain.dim == 4
    torch.testing.assert_close(own.log_prob(x), plain.log_prob(x))


def test_a_completed_site_is_there_beside_a_summed_out_latent_of_its_law():
    known = torch.tensor([True, False])

    def model(data):
        rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
        with pyro.plate("rows", 2):
            z = pyro.sample("z", dist.Categorical(torch.tensor([0.3, 0.7])))
            pyro.sample("m", dist.Gamma(torch.tensor([2.0, 1.0])[z], rate), obs=data, obs_mask=known)

    sites = PyroTarget(model, (torch.tensor([3.0, 0.0]),)).constrain(torch.zeros(1, 2))
    assert sites["m"].tolist() == [[3.0, 1.0]]
