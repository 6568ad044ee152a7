"""The table of named settings: every biased data set of the paper, and smaller ones that mirror them."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from tiwlib.data.sources import SOURCES
from tiwlib.runs import mapping


@dataclass(frozen=True)
class Setting:
    """How a biased and a reference set are taken out of a data set.

    source          name of a data set, or the path of a folder or zip of images
    bias            one of `tiwlib.data.bias.BIASES`
    arguments       of that bias
    reference_share size of the reference set as a share of the biased set, in (0, 1]
    groups          for a path: "folders" (class sub-folders) or the path of a CSV with columns file, group
    size            for a path: the images' side in pixels; None where all have one size already
    """

    source: str
    bias: str
    arguments: dict = field(default_factory=dict)
    reference_share: float = 0.1
    groups: str = "folders"
    size: int | None = None

    def __post_init__(self):
        for name, kind in {"source": str, "bias": str, "arguments": dict, "groups": str}.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name}: {getattr(self, name)!r}; allowed is a {kind.__name__}")


def _long_tail(source: str, share: float, imbalance: float = 0.01, total: int = 10_000) -> Setting:
    return Setting(source, "long_tail", {"imbalance": imbalance, "total": total}, share)


def _hue(source: str, share: float, reference_share: float = 0.05, total: int = 10_000) -> Setting:
    return Setting(source, "group_share", {"group": "red", "share": share, "total": total}, reference_share)


def _balanced(source: str, reference_share: float = 0.05, total: int = 10_000) -> Setting:
    """No bias at all: what plain training on as many unbiased images draws, a row beside the biased settings."""
    return Setting(source, "long_tail", {"imbalance": 1.0, "total": total}, reference_share)


def _smaller_mnist(source: str) -> dict[str, Setting]:
    """The paper's kinds of bias in its own sizes, on MNIST's digits made smaller."""
    crossed = {"0 to 4, red": 4650, "5 to 9, red": 2960, "0 to 4, blue": 1150, "5 to 9, blue": 1240}
    return {
        **{f"{source}-lt-{size}": _long_tail(source, size / 100) for size in (5, 10, 25, 50)},
        f"{source}-colour-80": _hue(f"{source}-colour", 0.80),
        f"{source}-colour-90": _hue(f"{source}-colour", 0.90),
        f"{source}-balanced": _balanced(source),
        f"{source}-colour-balanced": _balanced(f"{source}-colour"),
        f"{source}-digit-colour-balanced": _balanced(f"{source}-digit-colour"),
        f"{source}-digit-colour": Setting(f"{source}-digit-colour", "custom", {"counts": crossed}, 0.05),
    }


def _ffhq(share: float) -> Setting:
    return Setting("ffhq", "group_share", {"group": "female", "share": share, "total": 20_000}, 0.05)


# From the paper: long tails of 10,000 images with reference sets of 5, 10, 25, 50 %; FFHQ with 80 and 90 % of
# one gender; CelebA as it is, 162k images and a reference of 5 %, balanced over its four subgroups, whose shares
# are those of mnist8-digit-colour.
# Derived here: the ratio 100 of largest to smallest class, which is the usual one for a long tail; for
# CIFAR-100 it is 91, because the 459 + 50 images that 100 asks of the first class are more than its 500;
# FFHQ's majority, its total and its reference share; the hue of a digit in gender's place.
SETTINGS = {
    "digits-lt-5": _long_tail("digits", 0.05, imbalance=0.05, total=500),
    "digits-lt": _long_tail("digits", 0.10, imbalance=0.05, total=500),
    "digits-lt-25": _long_tail("digits", 0.25, imbalance=0.05, total=500),
    "digits-lt-50": _long_tail("digits", 0.50, imbalance=0.05, total=500),
    "digits-balanced": _balanced("digits", 0.10, 500),
    "digits-colour-balanced": _balanced("digits-colour", 0.10, 500),
    "digits-colour-90": _hue("digits-colour", 0.90, reference_share=0.10, total=500),
    **_smaller_mnist("mnist8"),
    **_smaller_mnist("mnist14"),
    "mnist-colour-80": _hue("mnist-colour", 0.80),
    "mnist-colour-90": _hue("mnist-colour", 0.90),
    "mnist-lt-5": _long_tail("mnist", 0.05),
    "mnist-lt-10": _long_tail("mnist", 0.10),
    "mnist-lt-25": _long_tail("mnist", 0.25),
    "mnist-lt-50": _long_tail("mnist", 0.50),
    "cifar10-lt-5": _long_tail("cifar10", 0.05),
    "cifar10-lt-10": _long_tail("cifar10", 0.10),
    "cifar10-lt-25": _long_tail("cifar10", 0.25),
    "cifar10-lt-50": _long_tail("cifar10", 0.50),
    "cifar100-lt-5": _long_tail("cifar100", 0.05, imbalance=0.011),
    "cifar100-lt-10": _long_tail("cifar100", 0.10, imbalance=0.011),
    "cifar100-lt-25": _long_tail("cifar100", 0.25, imbalance=0.011),
    "cifar100-lt-50": _long_tail("cifar100", 0.50, imbalance=0.011),
    "ffhq-80": _ffhq(0.80),
    "ffhq-90": _ffhq(0.90),
    "celeba-5": Setting("celeba", "natural", {"total": 162_000}, 0.05),
}


def find(setting: str) -> Setting:
    """A named setting, or the reader's own from a JSON file with the fields of `Setting`.

    Paths in it may be relative to it; the name of a data set is never one. Raises ValueError for an unknown name or
    field, and for a file that is called as a named setting, FileNotFoundError for a missing file.
    """
    if setting in SETTINGS:
        return SETTINGS[setting]
    if not setting.endswith(".json"):
        raise ValueError(
            f"setting: {setting!r}; allowed are {', '.join(SETTINGS)}, or the path of a .json file"
        )
    path = Path(setting)
    if path.stem in SETTINGS:  # records and their tables would take it for that one
        raise ValueError(
            f"setting: {setting} has the name of the setting {path.stem}; allowed is any other name"
        )
    if not path.is_file():
        raise FileNotFoundError(f"setting: {setting} is not there; see data/README.md for how to write one")
    try:
        own = Setting(**mapping.read(path))
    except (TypeError, ValueError) as error:
        allowed = ", ".join(entry.name for entry in fields(Setting))
        raise ValueError(
            f"setting: {setting} cannot be read ({error}); allowed fields are {allowed}"
        ) from None
    names = {"source": SOURCES, "groups": (Setting.groups,)}  # which win over a path
    paths = {part: getattr(own, part) for part in names if getattr(own, part) not in names[part]}
    beside = {part: path.parent / text for part, text in paths.items()}
    return replace(own, **{part: str(file) for part, file in beside.items() if file.exists()})
