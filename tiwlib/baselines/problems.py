"""The problems of the comparison: the 2-D example, and three biases of scikit-learn's digits.

A digit is a point of 64 pixels in [-1, 1], or an image where a U-Net is asked for; ratio network and judge see the
image. Every problem has what a baseline may require, and a judge that no method sees.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from torch import Tensor, nn

from tiwlib import data as datasets
from tiwlib.backbones import Encoder
from tiwlib.baselines.classifiers import DigitsJudge, Labeller, ModesJudge
from tiwlib.data import ImageData, batch, bias, problems
from tiwlib.data.bias import Biased
from tiwlib.data.problems import Problem
from tiwlib.data.settings import Setting
from tiwlib.data.store import checksum
from tiwlib.measures.samples import balanced
from tiwlib.networks import RatioNet


def gmm(seed: int = 0, **options) -> Problem:
    """The paper's 2-D example; options: as in data.problems.gmm."""
    problem = problems.gmm(seed, **options)
    labeller = Labeller(problem.biased, problem.labels, 2)
    return replace(problem, classifier=labeller, judge=ModesJudge(problem.group_names))


# Smaller than all that there is: a balanced held-out set must be left over. 0v1 has ten reference images a group.
COUNTS = {
    "0v1": ({"0": 120, "1": 13}, 0.15),
    "low-high": ({"low": 720, "high": 80}, 0.10),
}
GROUPS = {
    "0v1": [0, 1],
    "low-high": [0] * 5 + [1] * 5,
    "long-tail": list(range(10)),
}  # of the digits 0, 1, ...


def regrouped(name: str, group_of: list[int], names: tuple[str, ...]) -> ImageData:
    """The digits below len(group_of), under their new groups."""
    digits = datasets.load("digits")
    chosen = digits.groups < len(group_of)
    groups = np.array(group_of)[digits.groups[chosen]]
    order = np.argsort(groups, kind="stable")
    images, groups = digits.images[chosen][order], groups[order]
    return ImageData(name, images, groups, names, checksum(images, groups))


def digits(name: str, seed: int = 0, network: str = "mlp") -> Problem:
    """Digits `0v1`, `low-high` or `long-tail` (the setting digits-lt). network: "mlp" (points) or "unet" (images)."""
    if network not in ("mlp", "unet"):
        raise ValueError(f"network={network!r}: must be 'mlp' or 'unet'")
    if name == "long-tail":
        return _with_all(name, bias.load("digits-lt", seed=seed), network)
    counts, share = COUNTS[name]
    data = regrouped(f"digits-{name}", GROUPS[name], tuple(counts))
    setting = Setting("digits", "custom", {"counts": counts}, share)
    split = bias.draw(name, setting, data.group_sizes(), data.group_names, seed)
    return _with_all(name, Biased(data, split), network)


def _with_all(name: str, images: Biased, network: str) -> Problem:
    """The problem of images, with all that a baseline may require; network: as in `digits`."""
    data, split = images.data, images.split
    problem, n_groups = problems.of_images(images), len(data.group_names)
    shape, flat = problem.shape, network == "mlp"

    def samples(indices: np.ndarray) -> Tensor:
        x0 = batch(data.images, indices)
        return x0.flatten(1) if flat else x0

    def ratio_network(dropout: float | None = None, features: str = "") -> RatioNet:
        return RatioNet(AsImage(Encoder(shape[0], (16, 32), 0.5 if dropout is None else dropout), shape))

    unused = np.setdiff1d(np.arange(len(data.images)), np.concatenate([split.biased, split.reference]))
    target = np.full(n_groups, 1 / n_groups)
    biased = samples(split.biased)
    points = problems.point_networks(int(np.prod(shape)), 0.5, width=256)
    return replace(
        problem,
        name=name,
        key=problem.key | {"problem": name, "network": network},
        biased=biased,
        reference=samples(split.reference),
        shape=tuple(biased.shape[1:]),
        denoiser=points["denoiser"] if flat else problem.denoiser,
        ratio_network=ratio_network,
        classifier=Labeller(biased, problem.labels, n_groups),
        heldout=samples(unused[balanced(data.groups[unused], target)]),
        judge=DigitsJudge(GROUPS[name], data.group_names),
    )


class AsImage(nn.Module):
    """A backbone for images that takes points too: (B, C H W) or (B, C, H, W)."""

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int]):
        super().__init__()
        self.backbone, self.shape = backbone, tuple(shape)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.backbone(x.reshape(-1, *self.shape), c_noise)


PROBLEMS = {"gmm": gmm, **{name: partial(digits, name) for name in GROUPS}}


def problem(name: str, seed: int = 0, **options) -> Problem:
    """The problem of that name; an unknown one is a ValueError that lists them."""
    if name not in PROBLEMS:
        raise ValueError(f"problem={name!r}: must be one of {', '.join(PROBLEMS)}")
    return PROBLEMS[name](seed=seed, **options)
