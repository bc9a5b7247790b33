"""Worker of `speed.py` for the code of others, in an environment of their own. Nothing of theirs is kept here.

    ENV/bin/python benchmarks/speed_peers.py torchgfn
    ENV/bin/python benchmarks/speed_peers.py paper FOLDER/energy_sampling

`torchgfn` is version 2.4.1 of PyPI, as in its example of a diffusion sampler. `paper` is github:GFNOrg/gfn-diffusion,
commit 255b499, with the published options. Both get the densities of `speed_tasks.py`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
from speed_tasks import DRAWS, Run, Task, serve, stepwise

WIDTH = 64
PUBLISHED_DECAY = 2
"""λ of sub-trajectory balance in the published script."""


def paper(task: Task) -> Run:
    """The published training step, without its logging."""
    import gflownet_losses as losses
    from utils import cal_subtb_coef_matrix, get_gfn_optimizer

    from models import GFN

    looks_forward = task.method == "fl-subtb"
    density, cpu = task.density(), torch.device("cpu")
    network = GFN(
        task.dim,
        WIDTH,
        WIDTH,
        WIDTH,
        WIDTH,
        trajectory_length=task.steps,
        t_scale=task.scale**2,
        langevin=task.langevin,
        clipping=task.langevin,
        learned_variance=False,
        partial_energy=looks_forward,
        conditional_flow_model=looks_forward,
        pis_architectures=True,
        zero_init=True,
        device=cpu,
    )
    if task.kind == "draw":
        return stepwise(torch.no_grad()(lambda: network.sample(DRAWS, density)))
    optimizer = get_gfn_optimizer(network, 1e-3, 1e-1, 1e-3, conditional_flow_model=looks_forward)
    zeros = torch.zeros(task.paths, task.dim)
    loss: Any = {
        "vargrad": partial(losses.fwd_tb_avg, zeros, network, density),
        "fl-subtb": partial(losses.subtb, zeros, network, density, cal_subtb_coef_matrix(PUBLISHED_DECAY, task.steps)),
    }.get(task.method, partial(losses.fwd_tb, zeros, network, density))
    if task.method == "tb-replay":
        loss = _with_replay(task, network, density, losses)

    def step() -> None:
        network.zero_grad()
        loss().backward()
        optimizer.step()

    return stepwise(step)


def _with_replay(task: Task, network: Any, density: Any, losses: Any) -> Any:
    from buffer import ReplayBuffer

    kept = ReplayBuffer(600_000, torch.device("cpu"), density, task.paths, data_ndim=task.dim, prioritized="rank")
    zeros, made = torch.zeros(task.paths, task.dim), 0

    def loss() -> Any:
        nonlocal made
        made += 1
        if made % 2 == 0:
            return losses.bwd_tb(kept.sample()[0], network, density)
        value, states, _, _, log_target = losses.fwd_tb(zeros, network, density, return_exp=True)
        kept.add(states[:, -1], log_target)
        return value

    return loss


def torchgfn(task: Task) -> Run:
    """Trajectory balance and VarGrad of torchgfn; it has no Langevin parametrization."""
    from gfn.estimators import PinnedBrownianMotionBackward, PinnedBrownianMotionForward
    from gfn.gflownet import LogPartitionVarianceGFlowNet, TBGFlowNet
    from gfn.gym.diffusion_sampling import DiffusionSampling
    from gfn.samplers import Sampler
    from gfn.utils.modules import DiffusionFixedBackwardModule, DiffusionPISGradNetForward

    env = DiffusionSampling(
        "gmm25_prior" if task.target == "25gmm" else "many_well", {}, task.steps, torch.device("cpu")
    )
    env.target.log_reward = task.density()
    forward = PinnedBrownianMotionForward(
        s_dim=task.dim,
        pf_module=DiffusionPISGradNetForward(task.dim, WIDTH, WIDTH, WIDTH, WIDTH, 2, zero_init=True),
        sigma=task.scale,
        num_discretization_steps=task.steps,
    )
    backward = PinnedBrownianMotionBackward(
        s_dim=task.dim,
        pb_module=DiffusionFixedBackwardModule(s_dim=task.dim),
        sigma=task.scale,
        num_discretization_steps=task.steps,
    )
    kind = LogPartitionVarianceGFlowNet if task.method == "vargrad" else TBGFlowNet
    flow, sampler = kind(pf=forward, pb=backward), Sampler(estimator=forward)
    if task.kind == "draw":
        return stepwise(torch.no_grad()(lambda: flow.sample_terminating_states(env, DRAWS)))
    optimizer = torch.optim.Adam(flow.pf_pb_parameters(), lr=1e-3)
    if kind is TBGFlowNet:
        optimizer.add_param_group({"params": flow.logz_parameters(), "lr": 1e-1})

    def step() -> None:
        paths = sampler.sample_trajectories(env, n=task.paths, save_logprobs=True, save_estimator_outputs=False)
        optimizer.zero_grad()
        flow.loss(env, paths, recalculate_all_logprobs=False).backward()
        optimizer.step()

    return stepwise(step)


if __name__ == "__main__":
    if sys.argv[1] == "paper":
        sys.path.insert(0, sys.argv[2])
    serve({"paper": paper, "torchgfn": torchgfn}[sys.argv[1]])
