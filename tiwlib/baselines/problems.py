"""The problems of the comparison: the 2-D example, the settings of data.settings, and small ones of digits.

A setting comes with the library's U-Nets. A digit of the small problems is a point of 64 pixels in [-1, 1], or an image
where a U-Net is asked for; ratio network and judge see the image. Every problem has what a baseline may require, and a
judge that no method sees.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn

from tiwlib import data as datasets
from tiwlib.backbones import Encoder
from tiwlib.baselines.classifiers import DigitsJudge, Labeller, ModesJudge, groups_of
from tiwlib.data import ImageData, batch, bias, problems
from tiwlib.data.bias import Biased
from tiwlib.data.problems import Problem
from tiwlib.data.settings import SETTINGS, Setting
from tiwlib.data.store import checksum
from tiwlib.measures import classifier, judges
from tiwlib.measures.samples import Judge, balanced
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
        return _of_digits(name, bias.load("digits-lt", seed=seed), network)
    counts, share = COUNTS[name]
    data = regrouped(f"digits-{name}", GROUPS[name], tuple(counts))
    setting = Setting("digits", "custom", {"counts": counts}, share)
    split = bias.draw(name, setting, data.group_sizes(), data.group_names, seed)
    return _of_digits(name, Biased(data, split), network)


def of_setting(name: str, seed: int = 0) -> Problem:
    """A setting of data.settings with the library's U-Nets for images, judged as in notebook 05.

    The judge's confusion, int (G, G), is of the images in neither set; where a classifier names the groups, of those
    among them that it was not trained on.
    """
    images = bias.load(name, seed=seed)
    data, rows = images.data, unused(images)
    judge, _ = judges.of_data(data)
    if data.coloured is None:
        _, held = classifier.split(len(data.images))
        rows = np.intersect1d(rows, held)
    named = groups_of(judge, data.images[rows])
    judge.confusion = confusion_matrix(data.groups[rows], named, labels=range(len(data.group_names)))
    return in_memory(images, judge)


def unused(images: Biased) -> np.ndarray:
    """Indices of the images in neither set, ascending. A group that has none is a ValueError."""
    data, split = images.data, images.split
    rows = np.setdiff1d(np.arange(len(data.images)), np.concatenate([split.biased, split.reference]))
    counts = np.bincount(data.groups[rows], minlength=len(data.group_names))
    if not counts.all():
        group = data.group_names[counts.argmin()]
        raise ValueError(
            f"problem={split.setting}: its two sets take all images of group {group!r}; the comparison needs "
            f"held-out images of every group"
        )
    return rows


def in_memory(images: Biased, judge: Judge) -> Problem:
    """The problem of images as tensors, with all that a baseline may require.

    Held out are the images in neither set, as many of each group. Without groups, or where a group has none, it is a
    ValueError.
    """
    data, split = images.data, images.split
    if data.groups is None:
        raise ValueError(f"problem={split.setting}: has no groups, which the comparison is about")
    problem, rows = problems.of_images(images), unused(images)
    equal = np.full(len(data.group_names), 1 / len(data.group_names))
    biased = batch(data.images, split.biased)
    return replace(
        problem,
        biased=biased,
        reference=batch(data.images, split.reference),
        classifier=Labeller(biased, problem.labels, len(data.group_names)),
        heldout=batch(data.images, rows[balanced(data.groups[rows], equal)]),
        judge=judge,
    )


def _of_digits(name: str, images: Biased, network: str) -> Problem:
    """The problem of 8 x 8 digits, whose ratio network suits points as well; network: as in `digits`."""
    problem = in_memory(images, DigitsJudge(GROUPS[name], images.data.group_names))
    shape, flat = problem.shape, network == "mlp"

    def ratio_network(dropout: float | None = None, features: str = "") -> RatioNet:
        return RatioNet(AsImage(Encoder(shape[0], (16, 32), 0.5 if dropout is None else dropout), shape))

    key = problem.key | {"problem": name, "network": network}
    problem = replace(problem, name=name, key=key, ratio_network=ratio_network)
    if not flat:
        return problem
    sets = {part: getattr(problem, part).flatten(1) for part in ("biased", "reference", "heldout")}
    size = int(np.prod(shape))
    points = problems.point_networks(size, 0.5, width=256)
    return replace(problem, **sets, shape=(size,), denoiser=points["denoiser"])


class AsImage(nn.Module):
    """A backbone for images that takes points too: (B, C H W) or (B, C, H, W)."""

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int]):
        super().__init__()
        self.backbone, self.shape = backbone, tuple(shape)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.backbone(x.reshape(-1, *self.shape), c_noise)


PROBLEMS = {"gmm": gmm, **{name: partial(digits, name) for name in GROUPS}}
ORDER = ("gmm", *SETTINGS, *GROUPS)  # of figures and tables


def problem(name: str, seed: int = 0, **options) -> Problem:
    """The problem of that name, or of a setting of data.settings; an unknown one is a ValueError that lists them."""
    if name in SETTINGS:
        return of_setting(name, seed, **options)
    if name not in PROBLEMS:
        raise ValueError(f"problem={name!r}: must be one of {', '.join((*PROBLEMS, *SETTINGS))}")
    return PROBLEMS[name](seed=seed, **options)
