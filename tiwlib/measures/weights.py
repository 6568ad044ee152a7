"""Measures of a learned ratio on images: its calibration, its loss on fresh images, and what its weights do."""

import numpy as np
import pandas as pd
import torch
from sklearn.calibration import calibration_curve
from torch import Tensor
from torch.nn.functional import softplus

from tiwlib.closed_form import EVALUATION_SEED
from tiwlib.data import batch
from tiwlib.data.bias import Biased
from tiwlib.measures.shares import total_variation
from tiwlib.noise import LogNormal, expand
from tiwlib.objectives import Ratio, log_weight

BINS = 8  # of equal number, in which probabilities and frequencies are compared


def calibration(heldout: pd.DataFrame) -> pd.DataFrame:
    """Predicted probability of being a reference sample against its frequency, in BINS bins of equal number.

    heldout: FittedRatio.heldout, columns log_ratio and label. Returns columns predicted, observed.
    """
    predicted = 1 / (1 + np.exp(-heldout.log_ratio))
    observed, mean = calibration_curve(heldout.label, predicted, n_bins=BINS, strategy="quantile")
    return pd.DataFrame({"predicted": mean, "observed": observed})


def calibration_error(heldout: pd.DataFrame) -> float:
    """Mean gap between probability and frequency over bins of equal number, in [0, 1]."""
    curve = calibration(heldout)
    return float((curve.predicted - curve.observed).abs().mean())


def can_weigh(images: Biased) -> bool:
    """Whether there are groups, and fresh images of every group: what the two measures below need."""
    return images.data.groups is not None and bool((_fresh(images)[2] > 0).all())


MOST = 4096  # images that a ratio is asked about


def few(indices: np.ndarray) -> np.ndarray:
    """At most MOST of some indices, in their order, the same ones in every call."""
    if len(indices) <= MOST:
        return indices
    return np.sort(np.random.default_rng(EVALUATION_SEED).choice(indices, MOST, replace=False))


def _fresh(images: Biased) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images in neither set, which no fit has seen: their indices, their groups, and how many each group has."""
    used = np.concatenate([images.split.biased, images.split.reference])
    indices = few(np.setdiff1d(np.arange(len(images.data.images)), used))
    groups = images.data.groups[indices]
    return indices, groups, np.bincount(groups, minlength=len(images.data.group_names))


@torch.no_grad()
def variation_after_weighting(ratio: Ratio, images: Biased) -> float:
    """Total variation from the reference shares of the group shares that r(x0, 0) turns the biased ones into.

    Measured on fresh images: each stands for its group with the biased set's share. An exact ratio gives 0, a ratio
    of 1 everywhere leaves the total variation of the biased set.
    """
    indices, groups, sizes = _fresh(images)
    shares = images.shares()
    parts = (batch(images.data.images, part) for part in np.array_split(indices, -(-len(indices) // 1024)))
    r = torch.cat([ratio.log_ratio(x0, torch.zeros(len(x0))).exp() for x0 in parts]).numpy()
    weights = r * (shares["biased"] / sizes)[groups]
    weighted = np.bincount(groups, weights, minlength=len(sizes)) / weights.sum()
    return total_variation(weighted, shares["reference"])


@torch.no_grad()
def fresh_loss(ratio: Ratio, images: Biased, noise_distribution: LogNormal, draws: int = 4) -> float:
    """Cross-entropy in nats on noisy fresh images: log 2 is what a ratio of 1 everywhere has.

    An image of group g stands for both sets, with the share of g in each. draws: noises an image.
    """
    indices, groups, sizes = _fresh(images)
    weight = {name: torch.from_numpy((part / sizes)[groups]) for name, part in images.shares().items()}
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    x0, losses = batch(images.data.images, indices), []
    for _ in range(draws):
        normal = torch.randn(len(x0), generator=generator)  # a generator of its own: the same for every ratio
        sigma = (normal * noise_distribution.P_std + noise_distribution.P_mean).exp()
        x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
        logit = ratio.log_ratio(x, sigma).double()  # (N,)
        loss = (weight["reference"] * softplus(-logit) + weight["biased"] * softplus(logit)).sum() / 2
        losses.append(loss.item())
    return float(np.mean(losses))


LOG_WEIGHTS = np.linspace(-6, 2, 81)  # edges of log10 w; what lies beyond is counted in the outermost bins


@torch.no_grad()
def weights_of(
    ratio: Ratio,
    images,
    reference_fraction: float,
    sigmas=(0.0, 0.1, 0.3, 1.0, 3.0),
    most: int = MOST,
    seed: int = EVALUATION_SEED,
    device="cpu",
) -> pd.DataFrame:
    """How the weights w(x, sigma) of noisy biased images spread, a row for each level and bin of log10 w.

    images: a dataset of the biased set, of which at most `most` are taken, one noise each and the same for every
    ratio. Returns columns sigma, log10_w (the bin's lower edge), share (sums to 1 a level).
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(images), generator=generator)[:most]
    parts = [images[part].cpu() for part in chosen.split(256)]  # noise is drawn there, alike everywhere
    rows = []
    for level in sigmas:
        log_weights: list[Tensor] = []
        for x0 in parts:
            sigma = torch.full((len(x0),), level)
            x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
            log_ratio = ratio.log_ratio(x.to(device), sigma.to(device))
            log_weights.append(log_weight(log_ratio, reference_fraction).cpu())
        log10_w = (torch.cat(log_weights) / np.log(10)).numpy().clip(LOG_WEIGHTS[0], LOG_WEIGHTS[-1])
        share = np.histogram(log10_w, LOG_WEIGHTS)[0] / len(log10_w)
        rows.append(pd.DataFrame({"sigma": level, "log10_w": LOG_WEIGHTS[:-1].round(1), "share": share}))
    return pd.concat(rows, ignore_index=True)
