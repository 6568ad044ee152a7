"""Measures: of a learned ratio against the exact one, of group shares, and of sets of images."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.calibration import calibration_curve
from torch import Tensor
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from tiwlib import classifier
from tiwlib.bias import Biased
from tiwlib.datasets import batch
from tiwlib.gaussians import ExactRatio
from tiwlib.intervals import mean_interval, share_intervals  # noqa: F401  the notebooks find them here
from tiwlib.noise import expand, vp_sigma
from tiwlib.ratio import weight_and_correction

# ---------------------------------------------------------------- a ratio against the exact one


EVALUATION_SEED = 9_302_403  # of the points a ratio is judged on: no repetition draws its data from it


def ratio_errors(
    ratio, exact: ExactRatio, *, n: int = 4000, times: int = 50, seed: int = EVALUATION_SEED
) -> dict[str, np.ndarray]:
    """Mean squared errors of r and of sigma grad log r under p_bias^sigma, along VP time.

    Returns arrays (times,): t, sigma, ratio = E (r_hat - r)^2, score = E sigma^2 ||grad log r_hat - grad log r||^2.
    The same points are used for every ratio with the same seed.
    """
    generator = torch.Generator().manual_seed(seed)
    x0 = exact.p_bias.sample(n, generator)  # (n, d)
    t = (torch.arange(times) + 0.5) / times  # midpoints: their mean is the integral over t in [0, 1]
    rows = {"t": t.numpy(), "sigma": vp_sigma(t).numpy(), "ratio": [], "score": []}
    for level in vp_sigma(t):
        sigma = level.expand(n)
        x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
        r_hat, grad_hat = weight_and_correction(ratio, x, sigma, reference_fraction=0)
        r, grad = weight_and_correction(exact, x, sigma, reference_fraction=0)
        rows["ratio"].append((r_hat - r).square().mean().item())
        rows["score"].append((level * (grad_hat - grad)).square().sum(1).mean().item())
    return {name: np.asarray(values) for name, values in rows.items()}


def clean_ratio_error(ratio, exact: ExactRatio, *, n: int = 4000, seed: int = EVALUATION_SEED) -> float:
    """E (r_hat - r)^2 of clean samples of p_bias: what importance weighting lives with at every t."""
    x0 = exact.p_bias.sample(n, torch.Generator().manual_seed(seed))
    sigma = torch.zeros(n)
    with torch.no_grad():
        difference = ratio.log_ratio(x0, sigma).exp() - exact.log_ratio(x0, sigma).exp()
    return difference.square().mean().item()


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


# ---------------------------------------------------------------- sets of images


def to_uint8(x: Tensor) -> np.ndarray:
    """Images in [-1, 1] as uint8, rounded and clipped: the shape stays."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


class ClassifierFeatures(FeatureExtractorBase):
    """torch-fidelity's view of a group classifier: its 64 features, from uint8 (B, C, H, W)."""

    def __init__(self, name, features_list, feature_extractor_weights_path=None, **_):
        super().__init__(name, features_list)
        self.classifier, _ = classifier.load(Path(feature_extractor_weights_path))

    @staticmethod
    def get_provided_features_list():
        return ("features",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "features"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return None

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.classifier.features(images.float() / 127.5 - 1),)


register_feature_extractor("group-classifier", ClassifierFeatures)


class _Bytes(torch.utils.data.Dataset):
    """uint8 images as torch-fidelity wants them."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return torch.from_numpy(self.images[i].copy())


def classifier_distances(samples: np.ndarray, real: np.ndarray, weights: Path) -> dict[str, float]:
    """Distances in a group classifier's features: never to be read beside Inception's FID.

    samples, real: uint8 (N, C, H, W); weights: a classifier kept by classifier.fit_once. Returns
    classifier_frechet, precision and recall (torch-fidelity's, over the same features).
    """
    found = calculate_metrics(
        input1=_Bytes(samples),
        input2=_Bytes(real),
        feature_extractor="group-classifier",
        feature_extractor_weights_path=str(weights),
        fid=True,
        prc=True,
        batch_size=256,
        cuda=torch.cuda.is_available(),
        save_cpu_ram=True,
        verbose=False,
        cache=False,
    )
    return {
        "classifier_frechet": found["frechet_inception_distance"],
        "precision": found["precision"],
        "recall": found["recall"],
    }


def balanced(groups: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Indices of the largest subset whose group shares are `target` (G,): what samples are compared with.

    groups: int (N,), sorted or not; the first images of each group are taken. A group of share 0 is left out.
    """
    sizes = np.bincount(groups, minlength=len(target))
    total = (sizes[target > 0] / target[target > 0]).min()
    take = np.floor(total * target + 1e-9).astype(int)
    return np.sort(np.concatenate([np.flatnonzero(groups == g)[:n] for g, n in enumerate(take)]))


def nearest(images: np.ndarray, training: np.ndarray, chunk: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Each image's nearest training image: distances (N,), root mean square over pixels in [-1, 1], and indices.

    images, training: uint8 (N, C, H, W) and (M, C, H, W); training may be a memory map, it is read in chunks.
    """
    x = torch.from_numpy(images).flatten(1).float() / 127.5 - 1  # (N, pixels)
    best, index = torch.full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.long)
    for start in range(0, len(training), chunk):
        y = torch.from_numpy(training[start : start + chunk]).flatten(1).float() / 127.5 - 1
        distance, at = torch.cdist(x, y).min(1)
        index = torch.where(distance < best, at + start, index)
        best = torch.minimum(best, distance)
    return (best / x.shape[1] ** 0.5).numpy(), index.numpy()
