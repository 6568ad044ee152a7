"""Biased and reference sets: how many images of each group, and which.

A bias is a rule from the sizes of the groups to counts per group. The images themselves are then drawn from
one seeded order of each group: the reference set takes its front, the biased set its back. So the two are
disjoint, a smaller reference set is part of a larger one, and the biased set is the same for all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiwlib import data as datasets
from tiwlib.data import ImageData, settings
from tiwlib.data.settings import Setting
from tiwlib.data.splits import Split
from tiwlib.data.store import seeded_order

FEWEST = 4  # images of a set: a fit can hold one out, and distances between sets look at three neighbours


@dataclass(frozen=True)
class Biased:
    """What every notebook takes: images, groups, and who is in which set. A set of few images is a ValueError."""

    data: ImageData
    split: Split

    def __post_init__(self):
        for name in ("biased", "reference"):
            if (number := len(getattr(self.split, name))) < FEWEST:
                raise ValueError(f"{name}: {number} images; allowed are {FEWEST} or more")

    def shares(self) -> dict[str, np.ndarray]:
        """Group shares of both sets: {"biased": (G,), "reference": (G,)}."""
        counts = self.split.counts(self.data.groups, len(self.data.group_names))
        return {name: count / count.sum() for name, count in counts.items()}


def load(
    setting: str = "digits-lt",
    root: str | Path = "data",
    seed: int = 0,
    source: str | Path | None = None,
    download: bool = False,
) -> Biased:
    """The biased and reference sets of a setting; arrays are built below `root` at the first call.

    setting: a name of `settings.SETTINGS`, or a JSON file with the fields of a `Setting`
    source, download: as in `datasets.load`
    Raises ValueError or FileNotFoundError for what is unknown, missing, damaged or too small.
    """
    chosen = settings.find(setting)
    if chosen.source in datasets.SOURCES:
        if (chosen.groups, chosen.size) != (Setting.groups, Setting.size):
            raise ValueError(
                f"groups, size: {chosen.groups!r}, {chosen.size}; {chosen.source} has its own, allowed is neither"
            )
        data = datasets.load(chosen.source, root, source, download)
    else:
        data = datasets.folder(source or chosen.source, root, chosen.groups, chosen.size)
    name = Path(setting).stem if setting.endswith(".json") else setting
    return Biased(data, draw(name, chosen, data.group_sizes(), data.group_names, seed))


def own_pair(
    biased: str | Path,
    reference: str | Path,
    root: str | Path = "data",
    size: int | None = 64,
    channels: int = 3,
    biased_groups: str | None = None,
    reference_groups: str | None = None,
) -> Biased:
    """The reader's own sets: a folder or zip of biased images, and a small one of unbiased ones.

    size: side to which all images are cropped and scaled, None where all have one size
    The rest as in `datasets.pair`. The split's hash covers the images, for there is nothing else to draw.
    """
    data, number = datasets.pair(biased, reference, root, size, channels, biased_groups, reference_groups)
    indices = np.arange(len(data.images))
    definition = {"bias": "own pair", "images": data.sha256}
    return Biased(data, Split("own-pair", 0, definition, indices[:number], indices[number:]))


def from_parameters(params: Mapping, base: Path, download: bool = False) -> Biased:
    """What a notebook's parameters ask for: the reader's own pair where `biased` is given, else the setting.

    params: any of setting, root, seed, source, or biased, reference, root, size, biased_groups,
    reference_groups; "" stands for what is not given. Paths are taken from `base`, unless absolute. What would not be
    used, `source` beside a pair or groups without one, is a ValueError.
    """
    given = {name: value for name, value in params.items() if value != ""}
    for name in given.keys() & {"root", "source", "biased", "reference"}:
        given[name] = base / given[name]
    for name in given.keys() & {"setting", "biased_groups", "reference_groups"}:
        if str(given[name]).endswith((".json", ".csv")):
            given[name] = str(base / given[name])
    if ("biased" in given) != ("reference" in given):
        raise ValueError("biased, reference: only one is given; allowed are both or neither")
    if "biased" in given:
        _refuse_given(params, ["source"], "a setting, not of your own pair")
        names = ("biased", "reference", "root", "size", "biased_groups", "reference_groups")
        return own_pair(**{name: given[name] for name in names if name in given})
    _refuse_given(params, ["biased_groups", "reference_groups"], "your own pair, not of a setting")
    names = ("setting", "root", "seed", "source")
    return load(**{name: given[name] for name in names if name in given}, download=download)


def _refuse_given(params: Mapping, names: list[str], of: str) -> None:
    """A parameter that is given but would not be used is a ValueError."""
    for name in names:
        if params.get(name, "") != "":
            raise ValueError(f"{name}={params[name]!r}: is of {of}; leave it out")


def draw(setting: str, chosen: Setting, sizes: np.ndarray, names: tuple[str, ...], seed: int = 0) -> Split:
    """Draw a split; it follows from the sizes of the groups, no image is needed.

    Each group has a stream of its own: another group's size does not move it.

    sizes: int64 (G,), images in each group; names: their G names; seed: 0, 1, 2, ...
    Raises ValueError where a group has fewer images than both sets ask of it.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: {seed!r}; allowed is an int from 0 to 2^32 - 1")
    biased = counts(chosen.bias, chosen.arguments, sizes, names)
    reference = reference_counts(chosen.reference_share, int(biased.sum()), len(sizes))
    for name, size, b, r in zip(names, sizes, biased, reference, strict=True):
        if b + r > size:
            raise ValueError(
                f"setting: {setting} takes {b} biased and {r} reference images of group {name!r}; "
                f"allowed are {size} together"
            )
    starts = np.cumsum(sizes) - sizes
    orders = [
        start + seeded_order([seed, group], size)
        for group, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]
    definition = {
        "bias": chosen.bias,
        "arguments": dict(chosen.arguments),
        "reference_share": chosen.reference_share,
        "group_sizes": [int(size) for size in sizes],
    }
    return Split(
        setting,
        seed,
        definition,
        np.sort(np.concatenate([order[len(order) - n :] for order, n in zip(orders, biased, strict=True)])),
        np.sort(np.concatenate([order[:n] for order, n in zip(orders, reference, strict=True)])),
    )


def counts(bias: str, arguments: Mapping, sizes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Images of each group in the biased set: int64 (G,).

    Raises ValueError for an unknown bias, arguments that it does not take, or values that it does not allow.
    """
    if bias not in BIASES:
        raise ValueError(f"bias: {bias!r}; allowed are {', '.join(BIASES)}")
    try:
        return BIASES[bias](np.asarray(sizes, np.int64), names, **arguments)
    except TypeError as error:
        raise ValueError(f"arguments of {bias}: {arguments}; {error}") from None


def long_tail(sizes: np.ndarray, names: tuple[str, ...], imbalance: float, total: int) -> np.ndarray:
    """Exponential counts from the first group down to `imbalance` times as many in the last one.

    imbalance: in (0, 1], 1 is balanced; total: number of images.
    """
    if not 0 < imbalance <= 1:
        raise ValueError(f"imbalance: {imbalance}; allowed is a number in (0, 1]")
    return apportion(total, imbalance ** np.linspace(0, 1, len(sizes)), sizes.sum())


def group_share(
    sizes: np.ndarray, names: tuple[str, ...], group: str, share: float, total: int
) -> np.ndarray:
    """`share` of the images from one group, the rest in equal parts from the others."""
    if group not in names or len(names) < 2:
        raise ValueError(f"group: {group!r}; allowed is one of at least two, here {', '.join(names)}")
    if not 0 < share < 1:
        raise ValueError(f"share: {share}; allowed is a number in (0, 1)")
    others = (1 - share) / (len(names) - 1)
    shares = np.array([share if name == group else others for name in names])
    return apportion(total, shares, sizes.sum())


def natural(sizes: np.ndarray, names: tuple[str, ...], total: int) -> np.ndarray:
    """The shares that the data have: biased as they stand."""
    return apportion(total, sizes, sizes.sum())


def custom(sizes: np.ndarray, names: tuple[str, ...], counts: Mapping[str, int]) -> np.ndarray:
    """A table of counts per group; a group that is not named has none."""
    unknown = [name for name in counts if name not in names]
    if unknown:
        raise ValueError(f"counts: unknown group {unknown[0]!r}; allowed are {', '.join(names)}")
    there = dict(zip(names, sizes.tolist(), strict=True))
    wrong = {name: n for name, n in counts.items() if not isinstance(n, int) or not 0 <= n <= there[name]}
    if wrong or sum(counts.values()) == 0:
        raise ValueError(
            f"counts: {wrong or dict(counts)}; allowed are ints from 0 to the group's images, with a sum above 0"
        )
    return np.array([counts.get(name, 0) for name in names], np.int64)


BIASES = {"long_tail": long_tail, "group_share": group_share, "natural": natural, "custom": custom}


def reference_counts(share: float, biased: int, groups: int) -> np.ndarray:
    """Images of each group in the balanced reference set, `share` of the biased set's number: int64 (G,)."""
    if not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError(f"reference_share: {share!r}; allowed is a number in (0, 1]")
    total = round(share * biased)
    if total < groups:
        raise ValueError(
            f"reference_share: {share} of {biased} images leaves {total}; "
            f"allowed is at least {groups / biased:.3g}, one image for each of the {groups} groups"
        )
    return apportion(total, np.ones(groups), biased)


def apportion(total: int, weights: np.ndarray, most: int) -> np.ndarray:
    """Whole numbers in proportion to `weights` that sum to `total`, by largest remainder: int64 (G,).

    total: an int from 1 to `most`, the images that there are.
    """
    if not isinstance(total, int) or isinstance(total, bool) or not 1 <= total <= most:
        raise ValueError(f"total: {total!r}; allowed is an int from 1 to {most}")
    # Rounding hides the last bits, in which platforms differ; a stable sort then favours the first group.
    exact = np.round(total * np.asarray(weights, np.float64) / np.sum(weights), 6)
    whole = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(-np.round(exact - whole, 6), kind="stable")
    whole[by_remainder[: total - whole.sum()]] += 1
    return whole
