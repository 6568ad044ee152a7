"""From samples to measures, in one vocabulary for every notebook, table and record.

    measures = of_samples(samples, judge=judge, real=real, training=training, target=target)

A measure is a function from `Judged` to a part of that dictionary, and stands in MEASURES: whoever adds one writes it
there, or in a file of its own, and then where it is shown.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from tiwlib.data import ImageData
from tiwlib.measures import distances, intervals
from tiwlib.measures import shares as of_shares
from tiwlib.measures.inception import Inception

SURE = 0.9  # probability of the likeliest class from which on a judge is sure of a sample

Samples = np.ndarray | Tensor  # uint8 images (N, C, H, W), or numbers (N, *shape)


class Judge(Protocol):
    """Names the groups of samples, and sees the features in which sets are compared."""

    group_names: tuple[str, ...]

    def probabilities(self, x: Samples) -> Tensor:
        """(B, *shape) -> (B, G), in [0, 1]. The largest is the sample's group; of an exact rule they are 0 and 1.

        A group of several classes has the probability of its likeliest class.
        """

    def features(self, x: Samples) -> Tensor:
        """(B, *shape) -> (B, F)."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a judge sees in a set: features (N, F), or None, and groups int64 (N,), or None."""

    features: Tensor | None
    groups: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Samples and all that a measure may look at. What is None is not known, and its measures are left out.

    samples, training  (N, *shape) and (M, *shape)
    probabilities      (N, G) by the judge
    features           (N, F), whose: Inception's or the judge's
    real               of the set that samples are compared with
    target             (G,), the group shares that are wanted
    """

    samples: Samples
    training: Samples
    probabilities: np.ndarray | None
    features: Tensor | None
    real: Seen | None
    target: np.ndarray | None
    inception: bool
    seed: int
    device: torch.device | str

    @cached_property
    def groups(self) -> np.ndarray:
        """int64 (N,): the likeliest group of each sample."""
        return self.probabilities.argmax(1)

    @cached_property
    def shares(self) -> np.ndarray:
        """(G,), sums to one."""
        return of_shares.shares(self.groups, len(self.target))


def fairness(judged: Judged) -> dict:
    """Shares of the groups with their intervals, and their distance from the target's.

    The minority is the last group. pairwise_bias is from equal shares, whatever the target.
    """
    if judged.probabilities is None:
        return {}
    shares, target = judged.shares, judged.target
    return {
        "group_shares": shares.tolist(),
        "group_intervals": intervals.share_intervals(judged.groups, len(target)).tolist(),
        "minority_share": float(shares[-1]),
        "total_variation": of_shares.total_variation(shares, target),
        "fairness_discrepancy": of_shares.fairness_discrepancy(shares, target),
        "pairwise_bias": of_shares.pairwise_bias(shares),
    }


def unsure(judged: Judged) -> dict:
    """Share of the samples whose likeliest class has a probability below SURE: what the judge cannot read."""
    if judged.probabilities is None:
        return {}
    return {"unsure": float((judged.probabilities.max(1) < SURE).mean())}


def distance(judged: Judged) -> dict:
    """Frechet and kernel distance, precision and recall, in the keys of `distances.between`."""
    if judged.features is None:
        return {}
    return distances.between(
        judged.features, judged.real.features, inception=judged.inception, seed=judged.seed
    )


def group_distance(judged: Judged) -> dict:
    """Frechet distance of each group from the real one, None where either has fewer than 2 samples."""
    if judged.features is None or judged.probabilities is None or judged.real.groups is None:
        return {}
    parts = [
        (judged.features[judged.groups == g], judged.real.features[judged.real.groups == g])
        for g in range(len(judged.target))
    ]
    small = [min(map(len, part)) < 2 for part in parts]
    return {
        "group_frechet": [
            None if few else distances.frechet(*part) for part, few in zip(parts, small, strict=True)
        ]
    }


def memorised(judged: Judged) -> dict:
    """Mean root mean square distance to the nearest training sample: 0 says that all are copies.

    Of all samples, and of each group alone, None where it has no sample: a rare group may be copies, and no other.
    """
    distance, _ = distances.nearest(judged.samples, judged.training, device=judged.device)
    if judged.probabilities is None:
        return {"nearest": float(distance.mean())}
    parts = [distance[judged.groups == g] for g in range(len(judged.target))]
    by_group = [float(part.mean()) if len(part) else None for part in parts]
    return {"nearest": float(distance.mean()), "group_nearest": by_group}


MEASURES: list[Callable[[Judged], dict]] = [fairness, unsure, distance, group_distance, memorised]


def of_samples(
    samples: Samples,
    *,
    judge: Judge | None,
    real: Samples | Seen | None,
    training: Samples,
    target: np.ndarray | None = None,
    seed: int = 0,
    device="cpu",
    extractor: Inception | None = None,
) -> dict:
    """All measures of samples, by name: numbers, lists of numbers, or None.

    samples    uint8 images (N, C, H, W), or numbers (N, *shape), as the judge takes them
    judge      None where there are no groups: shares and all that rests on them are left out
    real       held-out images of the target's shares, or what `see` gave for them; None: no distances
    training   what the nearest sample is looked for in; may be a memory map
    target     (G,), the shares that are wanted; None: equal ones
    seed       of the subsets of the kernel distance, from 0 below 2^32
    extractor  Inception in place of the judge's features; the distances are then called fid and kid
    device     of the nearest training sample; judge and extractor have their own
    """
    if judge is None and extractor is None:
        real = None
    if real is not None and not isinstance(real, Seen):
        real = see(real, judge=judge, extractor=extractor)
    if judge is not None and target is None:
        target = np.full(len(judge.group_names), 1 / len(judge.group_names))
    judged = Judged(
        samples=samples,
        training=training,
        probabilities=None if judge is None else probabilities(judge, samples),
        features=None if real is None else features(extractor or judge.features, samples),
        real=real,
        target=None if target is None else np.asarray(target),
        inception=extractor is not None,
        seed=seed,
        device=device,
    )
    measures = {}
    for measure in MEASURES:
        measures |= measure(judged)
    return measures


def see(
    x: Samples, rows: np.ndarray | None = None, *, judge: Judge | None, extractor: Inception | None = None
) -> Seen:
    """Features and groups of a set, or of its rows: what can be asked for once and given to many calls as `real`.

    Groups of a set are needed for the judge's features alone, where they are few enough to compare each group.
    """
    rows = np.arange(len(x)) if rows is None else rows
    groups = None if extractor or judge is None else probabilities(judge, x, rows).argmax(1)
    return Seen(features=features(extractor or judge.features, x, rows), groups=groups)


@torch.no_grad()
def features(network: Callable, x: Samples, rows: np.ndarray | None = None, batch_size: int = 128) -> Tensor:
    """Features of x, or of x[rows], read in batches: float64 (N, F). x may be a memory map."""
    rows = np.arange(len(x)) if rows is None else rows
    chunks = np.array_split(rows, -(-len(rows) // batch_size))
    bar = tqdm(chunks, desc="features", unit="batch", delay=5, leave=False)
    return torch.cat([network(x[chunk]).double() for chunk in bar])


@torch.no_grad()
def probabilities(
    judge: Judge, x: Samples, rows: np.ndarray | None = None, batch_size: int = 512
) -> np.ndarray:
    """Probabilities of the groups of x, or of x[rows], read in batches: (N, G)."""
    rows = np.arange(len(x)) if rows is None else rows
    chunks = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return torch.cat([judge.probabilities(x[chunk]).cpu() for chunk in chunks]).numpy()


def balanced(groups: np.ndarray, target: np.ndarray, most: float = np.inf) -> np.ndarray:
    """Indices of the largest subset whose group shares are `target` (G,): what samples are compared with.

    groups: int (N,), sorted or not; the first images of each group are taken. A group of share 0 is left out. most:
    images that the subset may have.
    """
    sizes = np.bincount(groups, minlength=len(target))
    total = min(most, (sizes[target > 0] / target[target > 0]).min())
    take = np.floor(total * target + 1e-9).astype(int)
    return np.sort(np.concatenate([np.flatnonzero(groups == g)[:n] for g, n in enumerate(take)]))


def set_hash(data: ImageData, rows: np.ndarray) -> str:
    """Names a set of images: sha256 over the data's hash and which of them are in it."""
    return hashlib.sha256(data.sha256.encode() + np.asarray(rows, "<i8").tobytes()).hexdigest()
