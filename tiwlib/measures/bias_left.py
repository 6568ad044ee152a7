"""How much of a bias a ratio leaves in the mean of the samples, at each noise level, before a denoiser is trained.

The minimiser D of TIW-DSM fulfils E[w D] = E[w (x0 + sigma^2 grad log w)], the mean over the noisy samples x of a
batch. Since w grad log w = grad w, Stein's identity E[sigma^2 grad w] = E[w (x - x0)] makes the right side E[w x]:

    weight alone (W-only)   E[w x0] / E[w]
    weight and correction   E[w x]  / E[w]

With the exact w(x, sigma) = E[w0 | x] the second is the mean of the unbiased density at every sigma. The first goes
back to that of the batch where noise hides what the ratio is about, so there it is the correction that debiases.
IW-DSM has E[w0 x0] / E[w0] at every sigma: the same at sigma = 0.
"""

import numpy as np
import torch

from tiwlib.closed_form import EVALUATION_SEED
from tiwlib.data import batch
from tiwlib.data.bias import Biased
from tiwlib.measures.weights import few
from tiwlib.noise import expand
from tiwlib.objectives import Ratio, log_weight


@torch.no_grad()
def weighted_batch(
    ratio: Ratio, images: Biased, level: float, reference_fraction: float, *, draws: int = 4
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Group shares (G,) of weighted batches at one sigma, and the means of `weight` alone and of `both`, each (d,).

    images: with groups; their biased and their reference set make the batch, a large set by weights.MOST of it. draws:
    noises an image.
    """
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    groups, split = images.data.groups, images.split
    shares = np.zeros(len(images.data.group_names))
    clean, noise, of_noise = 0.0, 0.0, 0.0  # E[w x0], E[w (x - x0)] and E[x - x0], which is 0 but for chance
    for part, fraction in ((split.biased, 1 - reference_fraction), (split.reference, reference_fraction)):
        part = few(part)
        x0 = batch(images.data.images, part)
        for _ in range(draws):
            sigma, each = torch.full((len(x0),), level), fraction / (draws * len(x0))
            added = expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
            log_w = log_weight(ratio.log_ratio(x0 + added, sigma).double(), reference_fraction)
            w = each * log_w.exp().numpy()  # (B,)
            shares += np.bincount(groups[part], w, minlength=len(shares))
            added = added.flatten(1).double().numpy()
            clean, noise = clean + w @ x0.flatten(1).double().numpy(), noise + w @ added
            of_noise = of_noise + each * added.sum(0)
    total = shares.sum()
    return shares / total, {"weight": clean / total, "both": (clean + noise) / total - of_noise}


def group_means(images: Biased) -> np.ndarray:
    """The mean image of each group, (G, d), of all images of the data."""
    x, groups = images.data.images, images.data.groups
    parts = (np.flatnonzero(groups == g) for g in range(len(images.data.group_names)))
    return np.stack([batch(x, part).flatten(1).double().mean(0).numpy() for part in parts])


def bias_left(
    ratio: Ratio, images: Biased, level: float, reference_fraction: float, *, draws: int = 64
) -> dict[str, float]:
    """The part of the batch's bias that TIW-DSM with this ratio leaves in the mean at one sigma.

    0: the mean of the reference shares; 1: that of the batch, as without a ratio; measured along the line between the
    two, which are mixtures of the groups' means. Keys: `weight` alone, and `both`.
    """
    means = group_means(images)
    fair, batches = (part @ means for part in shares_of(images, reference_fraction))  # (d,)
    _, found = weighted_batch(ratio, images, level, reference_fraction, draws=draws)
    return {name: along(mean, fair, batches) for name, mean in found.items()}


def bias_in_samples(shares: np.ndarray, images: Biased, reference_fraction: float) -> float:
    """The part of the batch's bias in the group shares (G,) of samples, 0 to 1 as above, along the shares' line."""
    return along(shares, *shares_of(images, reference_fraction))


def shares_of(images: Biased, reference_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Group shares of the reference set and of a batch, (G,) each."""
    fair, biased = (images.shares()[name] for name in ("reference", "biased"))
    return fair, reference_fraction * fair + (1 - reference_fraction) * biased


def along(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Where a point lies on the line between two others: 0 at the start, 1 at the end."""
    line = end - start
    return float((point - start) @ line / (line @ line))
