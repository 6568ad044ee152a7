"""`mixture`: the bias as a shift of the shares of many small clusters, which the references only count.

Where there is a plain denoiser the clusters are those of its features, otherwise Gaussians in closed form.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tiwlib.estimators import clusters as of
from tiwlib.estimators import graph, heldout, label_shift
from tiwlib.estimators.cross_fitting import folds_of
from tiwlib.ratio import FittedRatio


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """K clusters, and how far the references may move their shares. A bad value is a ValueError that names it.

    clusters: 80 is the choice of validation splits of digits, by what the weights leave of the bias of unseen images.
    prior, bound: as in `label_shift`. folds: of both sets, for the loss of samples that a ratio has not seen, on
    heldout_draws noisy samples. steps, batch_size, lr: of the network that names clusters, where there is one.
    """

    clusters: int = 80
    prior: float = 2.0
    bound: float = 50.0
    folds: int = 5
    heldout_draws: int = 4096
    steps: int = 500
    batch_size: int = 128
    lr: float = 1e-3

    def __post_init__(self):
        least = {"clusters": 2, "folds": 2, "heldout_draws": 20, "steps": 1, "batch_size": 2}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {value}")
        if self.heldout_draws < 2 * self.folds:
            raise ValueError(
                f"heldout_draws={self.heldout_draws}: must be at least {2 * self.folds}, two a fold"
            )


def untrained(problem, base, config: MixtureConfig) -> of.ClusterRatio:
    """The ratio before anything is known: r = 1."""
    k = config.clusters
    known = {"shares": torch.full((k,), 1 / k), "log_rho": torch.zeros(k)}
    if base is None:
        return of.GaussianClusters(torch.zeros(k, *problem.shape), 1.0, **known)
    return of.NamedClusters(of.with_outputs(problem.ratio_network(), k), **known)


def fit(
    network: of.ClusterRatio, problem, base, config: MixtureConfig, *, seed: int = 0, device="cpu"
) -> FittedRatio:
    """Clusters of all observed samples, whatever their set; then the shares that the two sets have in them."""
    sets = [part[torch.arange(len(part))].cpu() for part in (problem.biased, problem.reference)]
    x0, sizes, levels = torch.cat(sets), [len(part) for part in sets], problem.noise_distribution
    of.refuse_too_many(config.clusters, len(x0))
    if base is None:
        of.refuse_points(config.clusters, x0)
    folds = [folds_of(n, config.folds, np.random.default_rng([seed, n])) for n in sizes]
    losses = []
    if base is None:
        network.centres, network.std = of.fit_gaussians(x0, config.clusters, seed=seed)
        likelihood = network.log_likelihood(x0, torch.zeros(len(x0))).softmax(1)  # (N, K)
    else:
        cluster = of.nearest_centres(
            graph.features(base, x0, seed=seed, device=device), config.clusters, seed
        )
        likelihood = one_hot(cluster, config.clusters).float()
        how = {"steps": config.steps, "batch_size": config.batch_size, "lr": config.lr}
        losses = of.learn_names(network.network, x0, cluster, levels, **how, seed=seed, device=device)
    network.to(device)
    of_sets, draws, parts = likelihood.double().split(sizes), config.heldout_draws // config.folds, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is said of the whole sets below counts
        for k in range(config.folds):
            seen = [part[torch.from_numpy(fold != k)] for part, fold in zip(of_sets, folds, strict=True)]
            unseen = tuple(np.flatnonzero(fold == k) for fold in folds)
            network.shares, network.log_rho = _shares_and_rho(*seen, config, device)
            parts.append(heldout.judged(network, sets, unseen, draws, levels, seed=seed + k, device=device))
    network.shares, network.log_rho = _shares_and_rho(*of_sets, config, device)
    return heldout.fitted(network, pd.concat(parts, ignore_index=True), losses)


def _shares_and_rho(
    biased: Tensor, reference: Tensor, config: MixtureConfig, device
) -> tuple[Tensor, Tensor]:
    """pi^bias and log rho, (K,) each, from the likelihoods (N, K) and (n, K) of both sets."""
    equal = torch.full((config.clusters,), 1 / config.clusters, dtype=biased.dtype)
    pi_bias, _ = label_shift.shares(biased, equal, prior=config.prior)
    pi_ref, _ = label_shift.shares(reference, pi_bias, prior=config.prior)
    log_rho = label_shift.bounded_log_rho(pi_ref, pi_bias, config.bound)
    return pi_bias.float().to(device), log_rho.float().to(device)
