"""Measures: of a learned ratio against the exact one, of group shares, and of sets of images."""

from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from tiwlib import classifier
from tiwlib.gaussians import ExactRatio
from tiwlib.noise import expand, vp_sigma
from tiwlib.ratio import weight_and_correction

# ---------------------------------------------------------------- a ratio against the exact one


def ratio_errors(
    ratio, exact: ExactRatio, *, n: int = 4000, times: int = 50, seed: int = 0
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


def clean_ratio_error(ratio, exact: ExactRatio, *, n: int = 4000, seed: int = 0) -> float:
    """E (r_hat - r)^2 of clean samples of p_bias: what importance weighting lives with at every t."""
    x0 = exact.p_bias.sample(n, torch.Generator().manual_seed(seed))
    sigma = torch.zeros(n)
    with torch.no_grad():
        difference = ratio.log_ratio(x0, sigma).exp() - exact.log_ratio(x0, sigma).exp()
    return difference.square().mean().item()


# ---------------------------------------------------------------- numbers that were repeated


def mean_interval(values, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of repeated runs and its Student-t interval: (mean, low, high). Needs two runs at least."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values of shape {values.shape}: an interval needs at least two runs")
    mean = values.mean()
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(mean), float(mean - half), float(mean + half)


# ---------------------------------------------------------------- group shares


def shares(groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Share of each group among labels (N,): float (G,), sums to one."""
    return np.bincount(groups, minlength=n_groups) / len(groups)


def share_intervals(groups: np.ndarray, n_groups: int, confidence: float = 0.95) -> np.ndarray:
    """Wilson's binomial interval of each share: (G, 2)."""
    counts = np.bincount(groups, minlength=n_groups)
    found = [stats.binomtest(int(c), len(groups)).proportion_ci(confidence, "wilson") for c in counts]
    return np.asarray([(ci.low, ci.high) for ci in found])


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
    classifier_frechet, classifier_kernel (times 1,000), precision and recall.
    """
    found = calculate_metrics(
        input1=_Bytes(samples),
        input2=_Bytes(real),
        feature_extractor="group-classifier",
        feature_extractor_weights_path=str(weights),
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=min(500, len(samples), len(real)),
        batch_size=256,
        cuda=torch.cuda.is_available(),
        save_cpu_ram=True,
        verbose=False,
        cache=False,
    )
    return {
        "classifier_frechet": found["frechet_inception_distance"],
        "classifier_kernel": 1000 * found["kernel_inception_distance_mean"],
        "precision": found["precision"],
        "recall": found["recall"],
    }


def nearest_distances(images: np.ndarray, training: np.ndarray, chunk: int = 256) -> np.ndarray:
    """Distance of each image to its nearest training image: root mean square over pixels in [-1, 1], (N,)."""
    x = torch.from_numpy(images).flatten(1).float() / 127.5 - 1
    y = torch.from_numpy(training).flatten(1).float() / 127.5 - 1
    nearest = torch.cat([torch.cdist(part, y).amin(1) for part in x.split(chunk)])
    return (nearest / x.shape[1] ** 0.5).numpy()
