"""Cross-fitting: a training sample's ratio comes from a network that has not seen that sample.

A ratio network memorises its few reference samples: there d is near 1, whatever the density. With K networks,
each fitted without one of K folds, sample i of fold k is weighted and corrected by network k. A point that belongs
to no fold gets the mean of their logits, as any ensemble would.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tiwlib.objectives import Ratio
from tiwlib.ratio import FittedRatio


def folds_of(n: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each of n samples: int64 (n,) in 0..folds-1, sizes equal up to one."""
    if not 2 <= folds <= n:
        raise ValueError(f"folds={folds}: must be at least 2 and at most {n}, the size of the smaller set")
    return rng.permutation(np.arange(n) % folds)


@dataclass(frozen=True)
class PerSample:
    """The ratio of a batch whose samples' folds are known: sample i asks network fold[i]. fold: (B,)."""

    networks: tuple[Ratio, ...]
    fold: Tensor

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r_fold(i)(x_i, sigma_i), shape (B,): every network sees its own samples only, so it costs one."""
        if self.fold.shape != x.shape[:1]:
            raise ValueError(f"fold has shape {tuple(self.fold.shape)}: must be (B,) = ({len(x)},)")
        log_ratio = torch.zeros_like(sigma, dtype=x.dtype)
        for k, network in enumerate(self.networks):
            rows = (self.fold == k).nonzero()[:, 0]
            if len(rows):
                log_ratio = log_ratio.index_put((rows,), network.log_ratio(x[rows], sigma[rows]))
        return log_ratio


@dataclass(frozen=True)
class CrossFitted:
    """K ratios, and the fold that each of them has not seen.

    fits: K of them; fits[k] held out fold k. folds: the fold of every biased and of every reference sample,
    ((Nb,), (Nr,)), to be given to batches.Observed as labels.
    """

    fits: tuple[FittedRatio, ...]
    folds: tuple[np.ndarray, np.ndarray]

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The mean of the K logits, shape (B,): for points that belong to no fold."""
        return torch.stack([fitted.log_ratio(x, sigma) for fitted in self.fits]).mean(0)

    def of(self, fold: Tensor) -> PerSample:
        """The ratio for a batch of training samples of these folds (B,)."""
        return PerSample(self.fits, fold)

    @property
    def heldout_loss(self) -> float:
        """Cross-entropy of samples that the answering network has not seen, in nats: every sample counts once."""
        return float(np.mean([fitted.heldout_loss for fitted in self.fits]))


def cross_fit(fit, biased, reference, *, folds: int = 5, seed: int = 0) -> CrossFitted:
    """K ratios, each without one fold of both sets.

    fit: a function of (k, held) that returns the FittedRatio of fold k, held = the indices of both sets that it
    must not see (`ratio.fit(..., held=held)`). biased, reference: anything with a length.
    """
    rng = np.random.default_rng([seed, folds])
    labels = tuple(folds_of(len(d), folds, rng) for d in (biased, reference))
    fits = (fit(k, tuple(np.flatnonzero(part == k) for part in labels)) for k in range(folds))
    return CrossFitted(tuple(fits), labels)


def cross_fitted(
    objective: Callable[..., Tensor], crossed: CrossFitted, reference_fraction: float, alpha: float = 1.0
) -> Callable[..., Tensor]:
    """The loss of (denoiser, x0, sigma, noise, fold) for training.train: each sample asks the network of its fold.

    objective: objectives.tiw_dsm or iw_dsm. fold: (B,), which comes with every batch of an Observed whose labels are
    crossed.folds. reference_fraction, alpha: as in the objective.
    """

    def loss(denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, fold: Tensor) -> Tensor:
        options = {"ratio": crossed.of(fold), "reference_fraction": reference_fraction, "alpha": alpha}
        return objective(denoiser, x0, sigma, noise, **options)

    return loss
