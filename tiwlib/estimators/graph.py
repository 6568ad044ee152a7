"""A ratio of clean samples that few references suffice for: logistic regression on a graph of all observed samples.

A plain denoiser, DSM(obs), has seen every observed sample and no label of a set: its bottleneck says which samples
are alike. Neighbours in it make a graph, and log r is a smooth function on that graph. Every sample is given the
logit of fits that have not seen to which set it belongs.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.sparse.linalg import eigsh
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from tiwlib.estimators.cross_fitting import folds_of
from tiwlib.networks import DenoiserNet
from tiwlib.noise import expand

LEVELS = (
    0.2,
    0.4,
    0.8,
    1.2,
)  # sigma / sigma_data of the features: details gone, shapes still there
SCALING = 7  # the neighbour whose distance is a sample's own scale (Zelnik-Manor and Perona 2004)
CHUNK = 512  # samples whose features or distances are taken at once


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """How a clean ratio is made. neighbours, time, functions: of the graph and what is smooth on it, as below.

    ridge, folds, repeats: of the regression. draws: noises that features are averaged over.
    """

    neighbours: int = 5
    time: float = 15.0
    functions: int = 100
    ridge: float = 0.03
    folds: int = 5
    repeats: int = 4
    draws: int = 4

    def __post_init__(self):
        for name, least in {"functions": 1, "folds": 2, "repeats": 1, "draws": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")
        for name in ("time", "ridge"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive and finite")


@dataclass(frozen=True, kw_only=True)
class CleanRatio:
    """All observed samples x0 (N, *shape), label (N,) 1 for a reference and 0 for a biased one, log r(x0, 0) (N,)."""

    x0: Tensor
    label: Tensor
    log_ratio: Tensor

    @property
    def heldout(self) -> pd.DataFrame:
        """As FittedRatio.heldout: no log_ratio comes from a fit that has seen the label beside it."""
        columns = {"sigma": 0 * self.label, "log_ratio": self.log_ratio, "label": self.label}
        return pd.DataFrame({name: column.numpy() for name, column in columns.items()})


def clean_ratio(problem, base, config: GraphConfig, *, seed: int = 0, device="cpu") -> CleanRatio:
    """log r(x0, 0) of each observed sample, out of fold. A set smaller than the folds is a ValueError."""
    sets = [part[torch.arange(len(part))].cpu() for part in (problem.biased, problem.reference)]
    for part, name in zip(sets, ("biased", "reference"), strict=True):
        if len(part) < config.folds:
            raise ValueError(f"{len(part)} {name} samples: folds={config.folds} need as many at least")
    x0, label = torch.cat(sets), np.repeat([0.0, 1.0], [len(part) for part in sets])
    points = features(base, x0, draws=config.draws, seed=seed, device=device)
    functions = smooth_functions(neighbour_graph(points, config.neighbours), config.time, config.functions)
    how = {"ridge": config.ridge, "folds": config.folds, "repeats": config.repeats}
    log_r = out_of_fold_log_ratio(functions, label, **how, seed=seed)
    return CleanRatio(x0=x0, label=torch.from_numpy(label), log_ratio=torch.from_numpy(log_r))


@torch.no_grad()
def features(base: DenoiserNet, samples, *, draws: int = 4, seed: int = 0, device="cpu") -> Tensor:
    """The denoiser's bottleneck at LEVELS, each the mean over noises: (N, F) on the CPU.

    samples: (N, *shape), indexable by an index tensor. Samples that the denoiser does not take are a ValueError.
    """
    generator = torch.Generator().manual_seed(seed)
    base, parts = base.to(device).eval(), []
    for rows in torch.arange(len(samples)).split(CHUNK):
        x0 = samples[rows].cpu()
        levels = []
        for level in LEVELS:
            sigma = torch.full((len(x0),), level * base.sigma_data)
            noisy = (
                x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator) for _ in range(draws)
            )
            levels.append(sum(_bottleneck(base, x.to(device), sigma.to(device)) for x in noisy) / draws)
        parts.append(torch.cat(levels, 1).cpu())
    return torch.cat(parts)


def _bottleneck(base: DenoiserNet, x: Tensor, sigma: Tensor) -> Tensor:
    try:
        return base.encode(x, sigma)[0].flatten(1)  # (B, F)
    except RuntimeError as error:
        raise ValueError(
            f"base: a denoiser of other samples than these of shape {tuple(x.shape[1:])} ({error})"
        ) from error


def neighbour_graph(features: Tensor, neighbours: int = 5) -> sparse.csr_array:
    """Affinities exp(-d_ij^2 / (s_i s_j)) between each sample and its nearest ones, symmetric: (N, N).

    neighbours: of each sample, at least 1 and below N. s_i: the distance to the neighbour SCALING of sample i.
    """
    n = len(features)
    if not 1 <= neighbours < n:
        raise ValueError(f"neighbours={neighbours}: must be at least 1 and below {n}, the number of samples")
    reach = min(max(neighbours, SCALING), n - 1)
    nearest = [torch.cdist(part, features).topk(reach + 1, largest=False) for part in features.split(CHUNK)]
    distance = (
        torch.cat([part.values for part in nearest])[:, 1:].double().numpy()
    )  # (N, reach), without itself
    index = torch.cat([part.indices for part in nearest])[:, 1:].numpy()
    scale = np.maximum(distance[:, -1], np.finfo(float).tiny)
    rows = np.repeat(np.arange(n), neighbours)
    columns = index[:, :neighbours].ravel()
    affinity = np.exp(-(distance[:, :neighbours].ravel() ** 2) / (scale[rows] * scale[columns]))
    graph = sparse.csr_array((affinity, (rows, columns)), shape=(n, n))
    return graph.maximum(graph.T)


def smooth_functions(graph: sparse.csr_array, time: float = 15.0, most: int = 100) -> np.ndarray:
    """Functions on the graph, the smoothest first: (N, M), their mean square e^(-time (1 - eigenvalue)).

    They are the eigenvectors of the normalised affinities; time is that of a diffusion on the graph: the longer, the
    less a rough function counts. most: M, where there are more samples.
    """
    degree = np.maximum(graph.sum(1), np.finfo(float).tiny)
    scaling = sparse.diags_array(degree**-0.5)
    n = graph.shape[0]
    values, vectors = eigsh(scaling @ graph @ scaling, min(most, n - 1), which="LA", v0=np.ones(n))
    order = np.argsort(-values)
    return n**0.5 * vectors[:, order] * np.exp(-time / 2 * (1 - values[order]))


def out_of_fold_log_ratio(
    functions: np.ndarray,
    label: np.ndarray,
    *,
    ridge: float = 0.03,
    folds: int = 5,
    repeats: int = 4,
    seed: int = 0,
) -> np.ndarray:
    """log r of each sample by fits that have not seen its label, the mean over `repeats` partitions: (N,).

    functions: (N, M). label: (N,), 1 for a reference and 0 for a biased sample; both sets weigh the same. ridge:
    factor of the squared coefficients. folds: at most the size of the smaller set, else a ValueError. The mean of r
    over the biased samples is 1, as that of every ratio.
    """
    n, total = len(label), np.zeros(len(label))
    rng = np.random.default_rng([seed, folds])
    for _ in range(repeats):
        fold = np.empty(n, int)
        for value in (0, 1):
            members = np.flatnonzero(label == value)
            fold[members] = folds_of(len(members), folds, rng)
        for k in range(folds):
            seen, unseen = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            regression = LogisticRegression(
                C=1 / (ridge * len(seen)), class_weight="balanced", tol=1e-8, max_iter=10_000
            )
            total[unseen] += regression.fit(functions[seen], label[seen]).decision_function(functions[unseen])
    log_r = total / repeats
    return log_r - np.log(np.exp(log_r[label == 0]).mean())
