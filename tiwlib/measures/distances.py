"""Distances between sets of images, by torch-fidelity, and from each sample to its nearest training image.

Features come from one of two networks. "inception" is the Inception of the FID, with the weights that all papers
use. "classifier" is the group classifier of the data set itself: its distances have other names and another scale.

Weights without unsafe pickle: torch-fidelity unpickles its weight file without restriction, and does not check
what it has downloaded. So here the download is checked against the hash in its name, and every file is read under
TORCH_FORCE_WEIGHTS_ONLY_LOAD, torch's own switch: anything but tensors is refused.

In float32 a feature depends on the size of the batch it came in (other kernels, TensorFloat-32 on a GPU). So all
is computed in float64: the same features from any batch size, and nearly the same on any device. Inception pays for
that: more than ten times slower on a CPU. A small sample can bear it; thousands of images want a GPU with fast
float64, as data centres have.
"""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import copy
import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from tqdm.auto import tqdm

from tiwlib.data import ImageData

EXTRACTORS = ("inception", "classifier", "none")
INCEPTION = Path(URL_INCEPTION_V3).name  # weights-inception-2015-12-05-6726825d.pth
INCEPTION_HASH = INCEPTION[-12:-4]  # the first digits of its sha256, by which a download is checked
NATURAL = ("cifar10", "cifar100", "celeba", "ffhq")  # the data whose FID the field knows
NEIGHBOURS = 3  # of precision and recall (Kynkaanniemi et al. 2019)
THINNED = 10_000  # images of a set that precision and recall look at, for they look at all pairs
PAIRS = 2**25  # whose distances are held at once, 256 MB

Network = Callable[[Tensor], Tensor]  # from images to features


# ---------------------------------------------------------------- whose features


def choose(asked: str, data: ImageData, n_samples: int) -> str:
    """Whose features the distances are taken in: `asked`, or "" for what suits the data.

    That is "inception" for the named data sets of natural images, "classifier" for other images with groups, and
    "none" where there are none: nothing then says what unbiased images look like but the reference set itself.
    """
    if asked not in ("", *EXTRACTORS):
        raise ValueError(f"feature_extractor={asked!r}: must be one of {', '.join(EXTRACTORS)}, or empty")
    if asked != "none" and n_samples <= NEIGHBOURS:
        raise ValueError(f"n_samples={n_samples}: distances between sets need at least {NEIGHBOURS + 1}")
    if asked == "classifier" and data.groups is None:
        raise ValueError(
            "feature_extractor='classifier': the images have no groups; allowed are inception, none"
        )
    if asked:
        return asked
    if data.name.split(" ")[0] in NATURAL:
        return "inception"
    return "none" if data.groups is None else "classifier"


def inception_weights(path: str | Path = "") -> Path:
    """Where the weights of the FID's Inception are: `path`, or torch's cache, filled by a download if need be.

    The file is opened, so that what is wrong with it is said before a training starts. FileNotFoundError where
    neither is there, ValueError for a file of something else.
    """
    cached = Path(torch.hub.get_dir(), "checkpoints", INCEPTION)
    way_out = f"give the path of {INCEPTION} (-p inception_weights PATH), or -p feature_extractor classifier"
    if path and not Path(path).is_file():
        raise FileNotFoundError(f"inception_weights={str(path)!r}: no such file; {way_out}")
    if not path and not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(
                URL_INCEPTION_V3, str(cached), hash_prefix=INCEPTION_HASH, progress=False
            )
        except (OSError, RuntimeError) as error:  # no network, or not what its name promises
            raise FileNotFoundError(
                f"inception_weights: not in {cached}, and {URL_INCEPTION_V3} could not be fetched ({error}); "
                f"{way_out}"
            ) from None
    found = Path(path) if path else cached
    try:
        state = torch.load(found, map_location="cpu", weights_only=True)
        shape = tuple(state["fc.weight"].shape)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"inception_weights={str(found)!r}: not Inception's weights ({reason}); {way_out}"
        ) from None
    if shape != (1008, 2048):
        raise ValueError(
            f"inception_weights={str(found)!r}: fc.weight is {shape}, not (1008, 2048); {way_out}"
        )
    return found


@contextmanager
def tensors_only() -> Iterator[None]:
    """torch.load takes nothing but tensors meanwhile, whatever its caller asks for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


class Inception(nn.Module):
    """Inception's last pooling: uint8 (B, 1 or 3, H, W) -> (B, 2048), rounded to float32 by torch-fidelity."""

    def __init__(self, weights: Path):
        super().__init__()
        with tensors_only():
            self.network = FeatureExtractorInceptionV3("inception", ["2048"], str(weights))
        # feature_extractor_internal_dtype="float64" would be the way, but torch-fidelity 0.4.0 takes it for float32
        self.network.double().feature_extractor_internal_dtype = torch.float64

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.expand(-1, 3, -1, -1))[0].double()


def inception(weights: Path, device="cpu") -> Network:
    """Inception with these weights (from `inception_weights`), in float64 on the device."""
    return Inception(weights).to(device)


def classifier_features(classifier: nn.Module, device="cpu") -> Network:
    """A group classifier's last hidden layer: uint8 (B, C, H, W) -> (B, its number of features)."""
    network = copy.deepcopy(classifier).to(device).double()
    return lambda images: network.features(images.double() / 127.5 - 1)


def with_float64(device: torch.device) -> torch.device:
    """The device, or the CPU in place of one that has no float64 (Apple's)."""
    return torch.device("cpu") if device.type == "mps" else device


@torch.no_grad()
def features(
    network: Network, images: np.ndarray, rows: np.ndarray, device="cpu", batch_size: int = 128
) -> Tensor:
    """Features of images[rows], read in batches: float64 (len(rows), F), on the device.

    network: from `inception` or `classifier_features`; images: uint8 (N, C, H, W), may be a memory map.
    """
    chunks = np.array_split(rows, -(-len(rows) // batch_size))
    bar = tqdm(chunks, desc="features", unit="batch", leave=False)
    return torch.cat([network(torch.from_numpy(images[chunk]).to(device)) for chunk in bar])


# ---------------------------------------------------------------- two sets of images


KEYS = {
    "inception": ("fid", "kid"),
    "classifier": ("classifier_frechet", "classifier_kernel_distance"),
}


def between(extractor: str, samples: Tensor, real: Tensor, seed: int = 0) -> dict[str, float]:
    """Frechet and kernel distance, precision and recall of two sets of features: (N, F) and (M, F).

    extractor: whose features they are, which names the keys. The kernel distance is a mean over 100 pairs of random
    subsets, half the smaller set but at most 1000 images each (`_subset_size`), drawn by `seed`; `_std` is over them.
    Precision and recall are of every k-th image of a larger set than THINNED, with the smallest k that makes it fit.
    """
    frechet, kernel = KEYS[extractor]
    smaller = min(len(samples), len(real))
    if smaller <= NEIGHBOURS:
        raise ValueError(f"{smaller} images: distances between sets need at least {NEIGHBOURS + 1} of each")
    statistics = [fid_features_to_statistics(part.cpu()) for part in (samples, real)]
    subset = min(1000, max(2, smaller // 2))
    kid = kid_features_to_metric(samples, real, kid_subset_size=subset, rng_seed=seed, verbose=False)
    thin = [part[:: -(-len(part) // THINNED)] for part in (samples, real)]
    at_once = max(1, PAIRS // max(map(len, thin)))
    prc = prc_features_to_metric(
        *thin, prc_neighborhood=NEIGHBOURS, prc_batch_size=at_once, save_cpu_ram=True, verbose=False
    )
    return {
        frechet: fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
        kernel: kid["kernel_inception_distance_mean"],
        f"{kernel}_std": kid["kernel_inception_distance_std"],
        f"{kernel}_subset_size": subset,
        "precision": prc["precision"],
        "recall": prc["recall"],
    }


def by_classifier(classifier: nn.Module, samples: np.ndarray, real: np.ndarray, seed: int = 0) -> dict:
    """Distances of two sets of images in a group classifier's features, on the CPU: the keys of `between`.

    samples, real: uint8 (N, C, H, W) and (M, C, H, W).
    """
    network = classifier_features(classifier)
    sets = (features(network, images, np.arange(len(images))) for images in (samples, real))
    return between("classifier", *sets, seed)


def balanced(groups: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Indices of the largest subset whose group shares are `target` (G,): what samples are compared with.

    groups: int (N,), sorted or not; the first images of each group are taken. A group of share 0 is left out.
    """
    sizes = np.bincount(groups, minlength=len(target))
    total = (sizes[target > 0] / target[target > 0]).min()
    take = np.floor(total * target + 1e-9).astype(int)
    return np.sort(np.concatenate([np.flatnonzero(groups == g)[:n] for g, n in enumerate(take)]))


def set_hash(data: ImageData, rows: np.ndarray) -> str:
    """Names a set of images: sha256 over the data's hash and which of them are in it."""
    return hashlib.sha256(data.sha256.encode() + np.asarray(rows, "<i8").tobytes()).hexdigest()


# ---------------------------------------------------------------- single images


def to_uint8(x: Tensor) -> np.ndarray:
    """Images in [-1, 1] as uint8, rounded and clipped: the shape stays."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def nearest(
    images: np.ndarray, training: np.ndarray, chunk: int = 512, device="cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Each image's nearest training image: distances (N,), root mean square over pixels in [-1, 1], and indices.

    images, training: uint8 (N, C, H, W) and (M, C, H, W); training may be a memory map, it is read in chunks.
    """
    x = torch.from_numpy(images).to(device).flatten(1).float() / 127.5 - 1  # (N, pixels)
    best, index = torch.full_like(x[:, 0], torch.inf), torch.zeros(len(x), dtype=torch.long, device=device)
    for start in range(0, len(training), chunk):
        y = torch.from_numpy(training[start : start + chunk]).to(device).flatten(1).float() / 127.5 - 1
        distance, at = torch.cdist(x, y).min(1)
        index = torch.where(distance < best, at + start, index)
        best = torch.minimum(best, distance)
    return (best / x.shape[1] ** 0.5).cpu().numpy(), index.cpu().numpy()
