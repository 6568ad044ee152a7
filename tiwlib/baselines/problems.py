"""The problems of the comparison: a biased set, what may be known about it, and a judge that no method sees.

`gmm` in the plane, and three biases of scikit-learn's digits. A digit is a point of 64 pixels in [-1, 1], or
an image where a U-Net is asked for; ratio network and judge see the image.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from tiwlib import data as datasets
from tiwlib import runs
from tiwlib.backbones import Encoder
from tiwlib.baselines.classifiers import DigitsJudge, Labeller, PlaneJudge
from tiwlib.data import ImageData, batch, bias
from tiwlib.data.bias import Biased
from tiwlib.data.settings import Setting
from tiwlib.data.store import checksum
from tiwlib.gaussians import MODES, SIGMA_DATA, GaussianMixture
from tiwlib.measures.distances import balanced
from tiwlib.networks import RatioNet, image_denoiser, point_denoiser, point_ratio


@dataclass(frozen=True)
class Problem:
    """What the methods are compared on.

    biased      (N, *shape)
    reference   (n, *shape), balanced, or None
    labels      int64 (N,), the group of each biased sample, or None
    classifier  names groups, learned from biased and labels, or None; for methods, never for judging
    heldout     (M, *shape), balanced, in neither set: what samples are compared with
    judge       groups, features and images of samples; the only one that sees the whole data
    network     width -> DenoiserNet, width None for the usual one
    ratio_network  () -> RatioNet
    key         what the data follow from, for naming kept models
    """

    name: str
    seed: int
    group_names: tuple[str, ...]
    sigma_data: float
    biased: Tensor
    reference: Tensor | None
    labels: Tensor | None
    classifier: object | None
    heldout: Tensor
    judge: object
    network: Callable
    ratio_network: Callable
    key: dict = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.biased.shape[1:])

    @property
    def balanced(self) -> np.ndarray:
        """Equal shares (G,), what fairness is measured against."""
        return np.full(len(self.group_names), 1 / len(self.group_names))

    @property
    def biased_shares(self) -> np.ndarray:
        """Shares (G,) of the biased set, by the judge."""
        return np.bincount(self.judge.groups(self.biased), minlength=len(self.group_names)) / len(self.biased)


def gmm(seed: int = 0, n: int = 4000, minority: float = 0.1, n_reference: int = 400) -> Problem:
    """The paper's two modes in the plane, the second with a share of `minority`; the reference set is balanced."""
    p_bias, p_data = GaussianMixture((1 - minority, minority), MODES), GaussianMixture((0.5, 0.5), MODES)
    state = int(np.random.SeedSequence([seed, 2412]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(state)
    biased, reference, heldout = p_bias.sample(n, generator), p_data.sample(n_reference, generator), None
    heldout = p_data.sample(n, generator)
    judge = PlaneJudge()
    labels = torch.from_numpy(judge.groups(biased))
    return Problem(
        "gmm",
        seed,
        ("majority", "minority"),
        SIGMA_DATA,
        biased,
        reference,
        labels,
        Labeller(biased, labels, 2),
        heldout,
        judge,
        lambda width=None: point_denoiser(2, SIGMA_DATA, width or 128),
        partial(point_ratio, 2, SIGMA_DATA),
        {"problem": "gmm", "seed": seed, "n": n, "minority": minority, "n_reference": n_reference},
    )


# Smaller than all that there is: a balanced held-out set must be left over. 0v1 has ten reference images a group.
COUNTS = {
    "0v1": ({"0": 120, "1": 13}, 0.15),
    "low-high": ({"low": 720, "high": 80}, 0.10),
}


def regrouped(name: str, group_of: dict[int, int], names: tuple[str, ...]) -> ImageData:
    """The digits that `group_of` maps (digit -> group), under their new groups."""
    digits = datasets.load("digits")
    keep = np.isin(digits.groups, list(group_of))
    images = digits.images[keep]
    groups = np.array([group_of[int(g)] for g in digits.groups[keep]], np.int64)
    order = np.argsort(groups, kind="stable")
    images, groups = images[order], groups[order]
    return ImageData(name, images, groups, names, checksum(images, groups))


def digits(name: str, seed: int = 0, network: str = "mlp") -> Problem:
    """Digits `0v1`, `low-high` or `long-tail` (the setting digits-lt). network: "mlp" (points) or "unet" (images)."""
    if network not in ("mlp", "unet"):
        raise ValueError(f"network={network!r}: must be 'mlp' or 'unet'")
    if name == "long-tail":
        made = bias.load("digits-lt", seed=seed)
    else:
        if name == "0v1":
            data = regrouped("digits-0v1", {0: 0, 1: 1}, ("0", "1"))
        else:
            data = regrouped("digits-low-high", {d: int(d > 4) for d in range(10)}, ("low", "high"))
        counts, share = COUNTS[name]
        setting = Setting("digits", "custom", {"counts": counts}, share)
        made = Biased(data, bias.draw(name, setting, data.group_sizes(), data.group_names, seed))
    return _of_images(name, made, seed, network)


def _of_images(name: str, made: Biased, seed: int, network: str) -> Problem:
    data, split = made.data, made.split
    shape = data.images.shape[1:]
    flat = network == "mlp"

    def points(indices: np.ndarray) -> Tensor:
        x0 = batch(data.images, indices)
        return x0.flatten(1) if flat else x0

    unused = np.setdiff1d(np.arange(len(data.images)), np.concatenate([split.biased, split.reference]))
    target = np.full(len(data.group_names), 1 / len(data.group_names))
    biased, labels = points(split.biased), torch.from_numpy(data.groups[split.biased])
    groups = {"0v1": [0, 1], "low-high": [0] * 5 + [1] * 5, "long-tail": list(range(10))}[name]
    return Problem(
        name,
        seed,
        data.group_names,
        0.5,
        biased,
        points(split.reference),
        labels,
        Labeller(biased, labels, len(data.group_names)),
        points(unused[balanced(data.groups[unused], target)]),
        DigitsJudge(datasets.load("digits"), groups, runs.checkpoints()),
        (lambda width=None: point_denoiser(shape[1] * shape[2], 0.5, width or 256))
        if flat
        else (lambda width=None: image_denoiser(*shape[:2], width or 16)),
        lambda: RatioNet(AsImage(Encoder(shape[0], (16, 32), dropout=0.5), shape)),
        {"problem": name, "split": split.sha256, "images": data.sha256, "network": network},
    )


class AsImage(nn.Module):
    """A backbone for images that takes points too: (B, C H W) or (B, C, H, W)."""

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int]):
        super().__init__()
        self.backbone, self.shape = backbone, tuple(shape)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.backbone(x.reshape(-1, *self.shape), c_noise)


PROBLEMS = {
    "gmm": gmm,
    "0v1": partial(digits, "0v1"),
    "low-high": partial(digits, "low-high"),
    "long-tail": partial(digits, "long-tail"),
}


def problem(name: str, seed: int = 0, **options) -> Problem:
    """The problem of that name; an unknown one is a ValueError that lists them."""
    if name not in PROBLEMS:
        raise ValueError(f"problem={name!r}: must be one of {', '.join(PROBLEMS)}")
    return PROBLEMS[name](seed=seed, **options)
