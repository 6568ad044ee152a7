"""One short training on images with groups, and its measures: what an ablation repeats with one thing changed."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import softplus

from tiwlib import batches, ratio, runs, sampling, training
from tiwlib.data import Subset, batch
from tiwlib.data.bias import Biased
from tiwlib.estimators.cross_fitting import CrossFitted, cross_fit
from tiwlib.measures import classifier, distances, metrics
from tiwlib.networks import image_denoiser, image_ratio, seeded
from tiwlib.noise import LogNormal, expand

NOISE_DISTRIBUTION = LogNormal()


@dataclass(frozen=True)
class Trial:
    """A split and all that two variants on it share: networks, their seeds, lengths, and what they are judged by.

    made: images with groups and their split. seed: of networks, training and samples. Lengths are in steps.
    """

    made: Biased
    seed: int
    steps: int = 1000
    batch_size: int = 128
    n_samples: int = 1000
    ratio_steps: int = 150
    ratio_lr: float = 3e-4
    ratio_dropout: float = 0.5
    width: int = 16

    @property
    def sets(self) -> tuple[Subset, Subset]:
        """The biased and the reference images."""
        images = self.made.data.images
        return Subset(images, self.made.split.biased), Subset(images, self.made.split.reference)

    def fit_ratio(self, member: int = 0, held=None) -> ratio.FittedRatio:
        """The time-dependent ratio; member: another one has other initial weights. held: as in ratio.fit."""
        channels = self.made.data.images.shape[1]
        network = seeded(image_ratio, channels, dropout=self.ratio_dropout, seed=self.seed + 1000 * member)
        options = {"steps": self.ratio_steps, "lr": self.ratio_lr, "batch_size": 128, "seed": self.seed}
        return ratio.fit(network, *self.sets, NOISE_DISTRIBUTION, **options, held=held, evaluations=5)

    def cross_fit(self, folds: int) -> CrossFitted:
        """As many ratios as folds, each without one of them."""
        return cross_fit(self.fit_ratio, *self.sets, folds=folds, seed=self.seed)

    def train(self, method, fitted=None, pi: float | None = 0.5, alpha: float = 1.0, folds=None) -> dict:
        """Train, sample, measure. method: a Method or a Formula; fitted: its ratio; folds: see CrossFitted.

        Returns total_variation of the samples' group shares from the reference's, classifier_frechet, precision,
        recall, and nearest, the mean distance to the nearest training image.
        """
        data, split = self.made.data, self.made.split
        channels, side = data.images.shape[1:3]
        denoiser = seeded(image_denoiser, channels, side, self.width, seed=self.seed)
        observed = batches.Observed(*self.sets, pi, folds)
        schedule = training.Schedule(
            self.steps, self.batch_size, ema_half_life=max(1, self.steps / 14), log_every=self.steps
        )
        for _ in training.train(
            denoiser,
            method,
            observed,
            NOISE_DISTRIBUTION,
            schedule,
            ratio=fitted,
            alpha=alpha,
            seed=self.seed,
        ):
            pass
        x = sampling.sample(denoiser, self.n_samples, (channels, side, side), seed=self.seed)
        samples, target = distances.to_uint8(x), self.target
        _, group_of, _ = classifier.fit_once(data, runs.checkpoints())
        drawn = metrics.shares(classifier.predict(group_of, samples), len(target))
        real = data.images[distances.balanced(data.groups, target)]
        seen = data.images[np.concatenate([split.biased, split.reference])]
        return {
            "total_variation": metrics.total_variation(drawn, target),
            "nearest": float(distances.nearest(samples, seen)[0].mean()),
            **distances.by_classifier(group_of, samples, real),
        }

    @property
    def target(self) -> np.ndarray:
        """Group shares of the reference set: (G,)."""
        return self._shares()["reference"]

    def _shares(self) -> dict[str, np.ndarray]:
        counts = self.made.split.counts(self.made.data.groups, len(self.made.data.group_names))
        return {name: count / count.sum() for name, count in counts.items()}

    @torch.no_grad()
    def fresh_loss(self, fitted, draws: int = 4) -> float:
        """Cross-entropy in nats on noisy images that are in neither set, so that no network can have seen them.

        An unused image of group g stands for both sets, with the share of g in each. draws: noises an image.
        """
        data, split = self.made.data, self.made.split
        unused = np.setdiff1d(np.arange(len(data.images)), np.concatenate([split.biased, split.reference]))
        groups = data.groups[unused]
        sizes = np.bincount(groups, minlength=len(data.group_names))
        weight = {name: torch.from_numpy((part / sizes)[groups]) for name, part in self._shares().items()}
        generator = torch.Generator().manual_seed(metrics.EVALUATION_SEED)
        x0, found = batch(data.images, unused), []
        for _ in range(draws):
            sigma = (
                torch.randn(len(x0), generator=generator) * NOISE_DISTRIBUTION.P_std
                + NOISE_DISTRIBUTION.P_mean
            ).exp()
            x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
            logit = fitted.log_ratio(x, sigma).double()  # (N,)
            loss = (weight["reference"] * softplus(-logit) + weight["biased"] * softplus(logit)).sum() / 2
            found.append(loss.item())
        return float(np.mean(found))
