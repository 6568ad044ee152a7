"""What an experiment is made on: a biased set, a small unbiased reference set, and networks that suit both."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from tiwlib.data.bias import Biased
from tiwlib.data.images import Subset
from tiwlib.estimators.frozen import frozen_ratio
from tiwlib.networks import DenoiserNet, RatioNet, image_denoiser, image_ratio, paper_denoiser
from tiwlib.noise import LogNormal

NETWORKS = ("small", "paper")
SMALLEST = 4  # pixels a side: the ratio network halves an image twice


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Two sets of samples, and what is built for them.

    key: what the data and the networks follow from, as hashes and settings; JSON-serialisable. biased, reference:
    datasets indexable by an index tensor, (N, *shape) each. sigma_data: the data's standard deviation. denoiser:
    (network, width, dropout) -> DenoiserNet, width None for the usual one. ratio_network: (dropout, features) ->
    RatioNet. images: the images with groups that both sets are of, and their split, where there are some.
    """

    name: str
    key: dict
    biased: object
    reference: object
    shape: tuple[int, ...]
    sigma_data: float
    denoiser: Callable[[str, int | None, float], DenoiserNet]
    ratio_network: Callable[[float, str], RatioNet]
    images: Biased | None = None

    @property
    def noise_distribution(self) -> LogNormal:
        """EDM's distribution of the noise level, at the scale of the data."""
        return LogNormal.for_data(self.sigma_data)

    @property
    def target(self) -> np.ndarray:
        """Group shares of the reference set, which the samples should have: (G,)."""
        return self.shares["reference"]

    @property
    def shares(self) -> dict[str, np.ndarray]:
        """Group shares of both sets: {"biased": (G,), "reference": (G,)}."""
        data, split = self.images.data, self.images.split
        counts = split.counts(data.groups, len(data.group_names))
        return {name: count / count.sum() for name, count in counts.items()}

    def on(self, device: torch.device) -> "Problem":
        """The same with its images held on a GPU, if they fit there."""
        if not isinstance(self.biased, Subset):
            return self
        return replace(self, biased=self.biased.on(device), reference=self.reference.on(device))

    def biased_alone(self) -> "Problem":
        """What there is without a reference set: DSM(ref) on this problem is plain training on the biased set."""
        nothing = self.biased[torch.arange(0)]
        key = self.key | {"reference": "none, the biased set instead"}
        return replace(self, key=key, biased=nothing, reference=self.biased)


def of_images(images: Biased) -> Problem:
    """The problem of images and their split. Images too small, or not square, are a ValueError."""
    data, split = images.data, images.split
    shape = tuple(data.images.shape[1:])
    channels, height, width = shape
    if height != width or height < SMALLEST:
        raise ValueError(
            f"size={height} x {width}: images must be square, of at least {SMALLEST} pixels a side"
        )

    def denoiser(network: str, width: int | None, dropout: float) -> DenoiserNet:
        if network == "paper":
            return paper_denoiser(channels, height, dropout)
        return image_denoiser(channels, height, width or 16, dropout)

    def ratio_network(dropout: float, features: str) -> RatioNet:
        return frozen_ratio(features, dropout) if features else image_ratio(channels, dropout=dropout)

    return Problem(
        name=split.setting,
        key={"split": split.sha256, "images": data.sha256},
        biased=Subset(data.images, split.biased),
        reference=Subset(data.images, split.reference),
        shape=shape,
        sigma_data=0.5,
        denoiser=denoiser,
        ratio_network=ratio_network,
        images=images,
    )
