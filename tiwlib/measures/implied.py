"""The group shares that a ratio sets at each noise level, before a denoiser is trained on it.

The minimiser D of TIW-DSM fulfils E[w D] = E[w (x0 + sigma^2 grad log w)], the mean over the noisy samples x of a
batch. Since w grad log w = grad w, Stein's identity E[sigma^2 grad w] = E[w (x - x0)] makes the right side E[w x]:

    weight alone (W-only)   E[w x0] / E[w]
    weight and correction   E[w x]  / E[w]

With the exact w(x, sigma) = E[w0 | x] the second is the mean of the unbiased density at every sigma. The first goes
back to that of the batch where noise hides what the ratio is about, so there it is the correction that debiases.
IW-DSM has E[w0 x0] / E[w0] at every sigma: the same at sigma = 0. A mean is read as shares by the groups' means.
"""

import numpy as np
import torch

from tiwlib.closed_form import EVALUATION_SEED
from tiwlib.data import batch
from tiwlib.data.bias import Biased
from tiwlib.noise import expand
from tiwlib.objectives import Ratio, log_weight


@torch.no_grad()
def weighted_batch(
    ratio: Ratio, images: Biased, level: float, reference_fraction: float, *, draws: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Group shares (G,) of weighted batches at one sigma, and E[w x] / E[w], flattened (d,).

    images: with groups; their biased and their reference set make the batch. draws: noises an image.
    """
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    groups, split = images.data.groups, images.split
    shares, mean = np.zeros(len(images.data.group_names)), 0.0
    for part, fraction in ((split.biased, 1 - reference_fraction), (split.reference, reference_fraction)):
        x0 = batch(images.data.images, part)
        for _ in range(draws):
            sigma = torch.full((len(x0),), level)
            x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
            log_w = log_weight(ratio.log_ratio(x, sigma).double(), reference_fraction)
            w = log_w.exp().numpy() * fraction / len(x0)  # (B,)
            shares += np.bincount(groups[part], w, minlength=len(shares))
            mean = mean + w @ x.flatten(1).double().numpy()
    return shares / shares.sum(), mean / shares.sum()


def shares_of_mean(mean: np.ndarray, group_means: np.ndarray) -> np.ndarray:
    """The shares (G,), of sum 1, whose mixture of the groups' means is nearest to a mean.

    mean: (d,). group_means: (G, d), of which none is a mixture of the others. A share may be below 0.
    """
    last = group_means[-1]
    free, *_ = np.linalg.lstsq((group_means[:-1] - last).T, mean - last, rcond=None)
    return np.append(free, 1 - free.sum())


def group_means(images: Biased) -> np.ndarray:
    """The mean image of each group, (G, d), of all images of the data."""
    x, groups = images.data.images, images.data.groups
    parts = (np.flatnonzero(groups == g) for g in range(len(images.data.group_names)))
    return np.stack([batch(x, part).flatten(1).double().mean(0).numpy() for part in parts])


def implied(
    ratio: Ratio, images: Biased, level: float, reference_fraction: float, *, draws: int = 64
) -> dict[str, np.ndarray]:
    """Group shares that TIW-DSM aims at with this ratio at one sigma: `weight` alone and `both`, each (G,)."""
    weight, mean = weighted_batch(ratio, images, level, reference_fraction, draws=draws)
    return {"weight": weight, "both": shares_of_mean(mean, group_means(images))}
