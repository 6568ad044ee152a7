"""What an experiment is made on: a biased set, a small unbiased reference set, and networks that suit both."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tiwlib.data.bias import Biased
from tiwlib.data.images import Subset
from tiwlib.estimators.frozen import frozen_ratio
from tiwlib.gaussians import MODES, SIGMA_DATA, ExactRatio, GaussianMixture, nearer_mode
from tiwlib.networks import (
    DenoiserNet,
    RatioNet,
    image_denoiser,
    image_ratio,
    paper_denoiser,
    point_denoiser,
    point_ratio,
)
from tiwlib.noise import LogNormal

SIGMA_IMAGES = 0.5  # EDM's, for images in [-1, 1]
NETWORKS = ("small", "paper")
SMALLEST = 4  # pixels a side: the ratio network halves an image twice


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Two sets of samples, what is built for them, and what else may be known.

    key            what the data and the networks follow from, as hashes and settings; JSON-serialisable
    biased         (N, *shape), indexable by an index tensor
    reference      (n, *shape), the same, or None where no method may have one
    sigma_data     the data's standard deviation
    denoiser       (network, width, dropout) -> DenoiserNet; width None is the usual one
    ratio_network  (dropout, features) -> RatioNet; dropout None is the usual one
    images         the images with groups that both sets are of, and their split
    group_names    (G,), of the groups that fairness is about
    labels         int64 (N,), the group of each biased sample
    classifier     names groups, predict(x) -> (B,), learned from biased and labels; for methods, never for judging
    heldout        (M, *shape) of equal group shares, in neither set: what samples are compared with
    judge          measures.samples.Judge; the only one that sees the whole data
    levels         noise levels that denoiser and ratio are trained at; None is EDM's at the scale of the data
    """

    name: str
    key: dict
    biased: object
    reference: object
    shape: tuple[int, ...]
    sigma_data: float
    denoiser: Callable[..., DenoiserNet]
    ratio_network: Callable[..., RatioNet]
    images: Biased | None = None
    group_names: tuple[str, ...] = ()
    labels: Tensor | None = None
    classifier: object | None = None
    heldout: Tensor | None = None
    judge: object | None = None
    levels: LogNormal | None = None

    @property
    def noise_distribution(self) -> LogNormal:
        """The distribution of the noise level in training."""
        return self.levels or LogNormal.for_data(self.sigma_data)

    @property
    def biased_shares(self) -> np.ndarray:
        """Group shares of the biased set, (G,); None where the groups are not known."""
        if self.labels is None:
            return None
        return np.bincount(self.labels, minlength=len(self.group_names)) / len(self.labels)

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


def of_images(images: Biased, sigma_data: float = SIGMA_IMAGES, levels: LogNormal | None = None) -> Problem:
    """The problem of images and their split, with the scale and the noise levels that training assumes.

    Images too small, or not square, and a scale that is not positive are a ValueError.
    """
    if not 0 < sigma_data < math.inf:
        raise ValueError(f"sigma_data={sigma_data}: must be positive and finite")
    data, split = images.data, images.split
    shape = tuple(data.images.shape[1:])
    channels, height, width = shape
    if height != width or height < SMALLEST:
        raise ValueError(
            f"size={height} x {width}: images must be square, of at least {SMALLEST} pixels a side"
        )

    def scaled(network: DenoiserNet | RatioNet) -> DenoiserNet | RatioNet:
        network.sigma_data = sigma_data
        return network

    def denoiser(network: str = "small", width: int | None = None, dropout: float = 0.0) -> DenoiserNet:
        if network == "paper":
            return scaled(paper_denoiser(channels, height, dropout))
        return scaled(image_denoiser(channels, height, width or 16, dropout))

    def ratio_network(dropout: float | None = None, features: str = "") -> RatioNet:
        dropout = 0.5 if dropout is None else dropout
        return scaled(frozen_ratio(features, dropout) if features else image_ratio(channels, dropout=dropout))

    key = {"split": split.sha256, "images": data.sha256}
    if (sigma_data, levels) != (SIGMA_IMAGES, None):
        key |= {"sigma_data": sigma_data, "levels": repr(levels)}
    return Problem(
        name=split.setting,
        key=key,
        biased=Subset(data.images, split.biased),
        reference=Subset(data.images, split.reference),
        shape=shape,
        sigma_data=sigma_data,
        denoiser=denoiser,
        ratio_network=ratio_network,
        images=images,
        levels=levels,
        group_names=data.group_names,
        labels=None if data.groups is None else torch.from_numpy(data.groups[split.biased]),
    )


def point_networks(d: int, sigma_data: float, width: int = 128) -> dict[str, Callable]:
    """The two builders of a problem of points (d,): an MLP each. What only images can have is a ValueError."""
    usual = width

    def denoiser(network: str = "small", width: int | None = None, dropout: float = 0.0) -> DenoiserNet:
        if network != "small" or dropout:
            raise ValueError(f"network={network!r}, dropout={dropout}: points have 'small', without dropout")
        return point_denoiser(d, sigma_data, width or usual)

    def ratio_network(dropout: float | None = None, features: str = "") -> RatioNet:
        if dropout or features:
            raise ValueError(f"ratio_dropout={dropout}, ratio_features={features!r}: points have neither")
        return point_ratio(d, sigma_data)

    return {"denoiser": denoiser, "ratio_network": ratio_network}


def gmm(
    seed: int = 0,
    n: int = 4000,
    minority: float = 0.1,
    n_reference: int = 400,
    pair: ExactRatio | None = None,
) -> Problem:
    """The paper's 2-D example, the second mode with a share of `minority`; the other sets are balanced.

    pair: the two densities, where they are others than these; `minority` then says nothing.
    """
    key = {"problem": "gmm", "seed": seed, "n": n, "minority": minority, "n_reference": n_reference}
    if pair is None:
        pair = ExactRatio(
            GaussianMixture((0.5, 0.5), MODES), GaussianMixture((1 - minority, minority), MODES)
        )
    else:
        key |= {"minority": None, "pair": repr(pair)}
    p_bias, p_data = pair.p_bias, pair.p_data
    state = int(np.random.SeedSequence([seed, 2412]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(state)
    biased, reference = p_bias.sample(n, generator), p_data.sample(n_reference, generator)
    return Problem(
        name="gmm",
        key=key,
        biased=biased,
        reference=reference,
        shape=(2,),
        sigma_data=SIGMA_DATA,
        **point_networks(2, SIGMA_DATA),
        group_names=("majority", "minority"),
        labels=nearer_mode(biased),
        heldout=p_data.sample(n, generator),
    )
