"""The choice of coordinates: c near 0 where the data say little, as written where they say much."""

import pyro
import pyro.distributions as dist
import torch

from amortized.targets.pyro.choosing import choose_coordinates, in_chosen_coordinates
from amortized.targets.pyro.target import PyroTarget


def groups(y, sd):
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfNormal(2.0))
    with pyro.plate("n", len(y)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, sd), obs=y)


Y = torch.tensor([1.2, -0.4, 0.7, 2.1, 0.1, 1.6])


def test_weak_data_standardize():
    choice = choose_coordinates(PyroTarget(groups, (Y, 5.0)), seed=0, seconds=20.0)
    assert set(choice.centring) == {"theta"} and choice.centring["theta"].max() < 0.2
    assert set(choice.reasons) == {"mu", "tau", "theta"}


def test_strong_data_stay_as_written():
    target = PyroTarget(groups, (Y, 0.05))
    same, reasons = in_chosen_coordinates(target, 0, 20.0)
    assert same is target and reasons["theta"].startswith("as written: the data say")


def test_a_model_without_a_moving_frame_is_left_alone():
    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    target = PyroTarget(model, (torch.tensor(1.0),))
    same, reasons = in_chosen_coordinates(target, 0, 20.0)
    assert same is target and reasons == {"mean": "as written: its prior is constant"}


def test_the_choice_moves_the_target_and_not_its_sites():
    target = PyroTarget(groups, (Y, 5.0))
    moved, _ = in_chosen_coordinates(target, 0, 20.0)
    sites = target.constrain(torch.zeros(2, target.dim))
    again = moved.constrain(moved.unconstrain(sites))
    assert moved is not target and list(again) == list(sites)
    assert all(torch.allclose(again[name], sites[name], atol=1e-5) for name in sites)


def test_without_time_the_model_stays_as_written():
    target = PyroTarget(groups, (Y, 5.0))
    same, reasons = in_chosen_coordinates(target, 0, 1e-3)
    assert same is target and reasons["theta"] == "as written: the density was not recorded within 0.0005 s"


def test_a_neck_decides_where_the_curvature_differs_from_draw_to_draw():
    """Six groups whose spread is not known: k is far below 1 in the neck and above it elsewhere."""
    choice = choose_coordinates(PyroTarget(groups, (Y, 1.0)), seed=0, seconds=20.0)
    assert choice.centring["theta"].max() < 0.35


def test_the_unobserved_part_alone_is_chosen_for():
    def model(y, known):
        tau = pyro.sample("tau", dist.HalfNormal(2.0))
        with pyro.plate("n", len(y)):
            theta = pyro.sample("theta", dist.Normal(0.0, tau), obs=y, obs_mask=known)
            pyro.sample("z", dist.Normal(theta, 20.0), obs=y)

    known = torch.tensor([True, False, False, True, False, True])
    moved, reasons = in_chosen_coordinates(PyroTarget(model, (Y, known)), 0, 20.0)
    assert reasons["theta_unobserved"].startswith("c = 0.0")
    assert moved.constrain(torch.zeros(1, moved.dim))["theta_unobserved"].shape == (1, 6)
