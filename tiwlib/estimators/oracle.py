"""`oracle`: what is possible. Not a method: it knows the group of every image, which nobody has who needs a ratio.

It is `mixture` with everything given that `mixture` has to find: the clusters are the true groups, a network learns
them from all images of the data but the references, and rho is the quotient of the two sets' true shares.
"""

from dataclasses import dataclass

import numpy as np
import torch

from tiwlib.data import batch
from tiwlib.estimators import clusters as of
from tiwlib.estimators import heldout
from tiwlib.ratio import FittedRatio


@dataclass(frozen=True, kw_only=True)
class OracleConfig:
    """steps, batch_size, lr, dropout: of the network that names groups. heldout_draws: noisy samples of the loss."""

    steps: int = 1500
    batch_size: int = 128
    lr: float = 1e-3
    dropout: float = 0.1
    heldout_draws: int = 4096

    def __post_init__(self):
        for name, least in {"steps": 1, "batch_size": 2, "heldout_draws": 2}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")


def untrained(problem, base, config: OracleConfig) -> of.NamedClusters:
    """The true shares and their quotients, with a network that knows no group yet.

    Samples without groups, and a group without a biased sample, whose ratio would be infinite, are ValueErrors.
    """
    if problem.images is None or problem.images.data.groups is None:
        raise ValueError("ratio='oracle': needs the group of every image, and these samples have none")
    shares = {name: torch.from_numpy(part).float() for name, part in problem.images.shares().items()}
    empty = [
        name
        for name, share in zip(problem.images.data.group_names, shares["biased"], strict=True)
        if share == 0
    ]
    if empty:
        raise ValueError(f"ratio='oracle': no biased image of the group {', '.join(empty)}")
    network = of.with_outputs(problem.ratio_network(config.dropout), len(shares["biased"]))
    return of.NamedClusters(network, shares["biased"], (shares["reference"] / shares["biased"]).log())


def fit(
    network: of.NamedClusters, problem, base, config: OracleConfig, *, seed: int = 0, device="cpu"
) -> FittedRatio:
    """Groups of noisy images by cross-entropy. heldout: of the observed samples; it has seen no reference."""
    data, split = problem.images.data, problem.images.split
    rows = np.setdiff1d(np.arange(len(data.images)), split.reference)
    x0, group, levels = (
        batch(data.images, rows),
        torch.from_numpy(data.groups[rows]),
        problem.noise_distribution,
    )
    how = {"steps": config.steps, "batch_size": config.batch_size, "lr": config.lr}
    losses = of.learn_names(network.network, x0, group, levels, **how, seed=seed, device=device)
    network.to(device)
    sets = tuple(part[torch.arange(len(part))].cpu() for part in (problem.biased, problem.reference))
    among = tuple(np.arange(len(part)) for part in sets)
    judged = heldout.judged(network, sets, among, config.heldout_draws, levels, seed=seed, device=device)
    return heldout.fitted(network, judged, losses)
