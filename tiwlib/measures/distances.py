"""Distances between two sets of samples, by torch-fidelity, and from each sample to its nearest training image."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

NEIGHBOURS = 3  # of precision and recall (Kynkaanniemi et al. 2019)
THINNED = 10_000  # samples of a set that precision and recall look at, for they look at all pairs
PAIRS = 2**25  # whose distances are held at once, 256 MB


def frechet(samples: Tensor, real: Tensor) -> float:
    """Frechet distance of two sets of features (N, F) and (M, F), at least two of each, in float64."""
    statistics = (fid_features_to_statistics(part.double().cpu()) for part in (samples, real))
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def kernel_distance(samples: Tensor, real: Tensor, seed: int = 0) -> tuple[float, float, int]:
    """Kernel distance of two sets of features (N, F) and (M, F): mean and deviation over subsets, and their size.

    The mean of 100 pairs of random subsets, half the smaller set but at most 1000 samples each, drawn by `seed`.
    """
    subset = min(1000, max(2, min(len(samples), len(real)) // 2))
    kid = kid_features_to_metric(samples, real, kid_subset_size=subset, rng_seed=seed, verbose=False)
    return kid["kernel_inception_distance_mean"], kid["kernel_inception_distance_std"], subset


def precision_recall(samples: Tensor, real: Tensor) -> tuple[float, float]:
    """Precision and recall of features (N, F) against (M, F), each in [0, 1], with 3 neighbours.

    They are of every k-th sample of a larger set than THINNED, with the smallest k that makes it fit.
    """
    thin = [part[:: -(-len(part) // THINNED)] for part in (samples, real)]
    at_once = max(1, PAIRS // max(map(len, thin)))
    measured = prc_features_to_metric(
        *thin, prc_neighborhood=NEIGHBOURS, prc_batch_size=at_once, save_cpu_ram=True, verbose=False
    )
    return measured["precision"], measured["recall"]


def between(samples: Tensor, real: Tensor, *, inception: bool = False, seed: int = 0) -> dict[str, float]:
    """Distances of two sets of features, (N, F) and (M, F), with more than 3 samples each.

    inception: whether the features are Inception's. Then the keys are fid and kid, as the field has them; other
    features give other numbers, under frechet and kernel_distance. Precision and recall are of either.
    """
    smaller = min(len(samples), len(real))
    if smaller <= NEIGHBOURS:
        raise ValueError(
            f"samples, real: {smaller} of one; distances between sets need at least {NEIGHBOURS + 1} of each"
        )
    of_means, of_kernels = ("fid", "kid") if inception else ("frechet", "kernel_distance")
    mean, deviation, subset = kernel_distance(samples, real, seed)
    precision, recall = precision_recall(samples, real)
    return {
        of_means: frechet(samples, real),
        of_kernels: mean,
        f"{of_kernels}_std": deviation,
        f"{of_kernels}_subset_size": subset,
        "precision": precision,
        "recall": recall,
    }


def to_uint8(x: Tensor) -> np.ndarray:
    """Images in [-1, 1] as uint8, rounded and clipped: the shape stays."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def to_float(x: np.ndarray | Tensor, dtype=torch.float32, device="cpu") -> Tensor:
    """uint8 as numbers in [-1, 1], numbers as they are: the shape stays."""
    x = torch.as_tensor(x).to(device)
    return x.to(dtype) / 127.5 - 1 if x.dtype == torch.uint8 else x.to(dtype)


def nearest(
    samples: np.ndarray | Tensor, training: np.ndarray | Tensor, chunk: int = 512, device="cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Each sample's nearest training sample: distances (N,), root mean square over values, and indices (N,).

    samples, training: (N, *shape) and (M, *shape), uint8 images, which count in [-1, 1], or numbers. The training
    samples may be a memory map: they are read in chunks.
    """
    x = to_float(samples, device=device).flatten(1)  # (N, values)
    best, index = torch.full_like(x[:, 0], torch.inf), torch.zeros(len(x), dtype=torch.long, device=device)
    for start in range(0, len(training), chunk):
        y = to_float(training[start : start + chunk], device=device).flatten(1)
        distance, at = torch.cdist(x, y).min(1)
        index = torch.where(distance < best, at + start, index)
        best = torch.minimum(best, distance)
    return (best / x.shape[1] ** 0.5).cpu().numpy(), index.cpu().numpy()
