"""Measures: of a learned ratio against the exact one, of its weights, and of group shares."""

import numpy as np
import pandas as pd
import torch
from sklearn.calibration import calibration_curve

from tiwlib.closed_form import EVALUATION_SEED
from tiwlib.data import batch
from tiwlib.data.bias import Biased
from tiwlib.noise import expand
from tiwlib.objectives import log_weight


def calibration(heldout: pd.DataFrame, bins: int = 8) -> pd.DataFrame:
    """Predicted probability of being a reference sample against its frequency, in bins of equal number.

    heldout: FittedRatio.heldout, columns log_ratio and label. Returns columns predicted, observed.
    """
    predicted = 1 / (1 + np.exp(-heldout.log_ratio))
    observed, mean = calibration_curve(heldout.label, predicted, n_bins=bins, strategy="quantile")
    return pd.DataFrame({"predicted": mean, "observed": observed})


def calibration_error(heldout: pd.DataFrame, bins: int = 8) -> float:
    """Mean gap between probability and frequency over bins of equal number, in [0, 1]."""
    curve = calibration(heldout, bins)
    return float((curve.predicted - curve.observed).abs().mean())


def can_weigh(made: Biased) -> bool:
    """Whether variation_after_weighting is known: groups, and images of every group in neither set."""
    return made.data.groups is not None and bool((_unused(made)[1] > 0).all())


def _unused(made: Biased) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images in neither set, and how many of each group there are."""
    used = np.concatenate([made.split.biased, made.split.reference])
    unused = np.setdiff1d(np.arange(len(made.data.images)), used)
    return unused, np.bincount(made.data.groups[unused], minlength=len(made.data.group_names))


@torch.no_grad()
def variation_after_weighting(ratio, made: Biased) -> float:
    """Total variation from the reference shares of the group shares that r(x0, 0) turns the biased ones into.

    Measured on images that no fit has seen: each stands for its group with the biased set's share. An exact
    ratio gives 0, a ratio of 1 everywhere leaves the total variation of the biased set.
    """
    unused, sizes = _unused(made)
    groups = made.data.groups[unused]
    counts = made.split.counts(made.data.groups, len(sizes))
    chunks = (batch(made.data.images, part) for part in np.array_split(unused, -(-len(unused) // 1024)))
    r = torch.cat([ratio.log_ratio(x0, torch.zeros(len(x0))).exp() for x0 in chunks]).numpy()
    weights = r * (counts["biased"] / sizes)[groups]
    made_shares = np.bincount(groups, weights, minlength=len(sizes)) / weights.sum()
    return total_variation(made_shares, counts["reference"] / counts["reference"].sum())


LOG_WEIGHTS = np.linspace(-6, 2, 81)  # edges of log10 w; what lies beyond is counted in the outermost bins


@torch.no_grad()
def weights_of(
    ratio,
    images,
    reference_fraction: float,
    sigmas=(0.0, 0.1, 0.3, 1.0, 3.0),
    most: int = 4096,
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
        found = []
        for x0 in parts:
            sigma = torch.full((len(x0),), level)
            x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
            found.append(
                log_weight(ratio.log_ratio(x.to(device), sigma.to(device)), reference_fraction).cpu()
            )
        log10_w = (torch.cat(found) / np.log(10)).numpy().clip(LOG_WEIGHTS[0], LOG_WEIGHTS[-1])
        share = np.histogram(log10_w, LOG_WEIGHTS)[0] / len(log10_w)
        rows.append(pd.DataFrame({"sigma": level, "log10_w": LOG_WEIGHTS[:-1].round(1), "share": share}))
    return pd.concat(rows, ignore_index=True)


# ---------------------------------------------------------------- group shares


def shares(groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Share of each group among labels (N,): float (G,), sums to one."""
    return np.bincount(groups, minlength=n_groups) / len(groups)


def total_variation(shares: np.ndarray, target: np.ndarray) -> float:
    """Half the sum of absolute differences, in [0, 1]."""
    return float(np.abs(shares - target).sum() / 2)


def fairness_discrepancy(shares: np.ndarray, target: np.ndarray) -> float:
    """Euclidean distance of the shares to the target shares, in [0, sqrt 2]."""
    return float(np.linalg.norm(shares - target))
