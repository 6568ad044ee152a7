"""The measures of a short training on images."""

import math

import numpy as np
import pytest
import torch

from tiwlib.data import bias
from tiwlib.runs.trial import Trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return Trial(bias.load("digits-lt", tmp_path_factory.mktemp("data"), seed=0), seed=0, ratio_steps=2)


class Shares:
    """The ratio that knows the group of an image: log r = log of its share in one set over that in the other."""

    def __init__(self, trial, factor=1.0):
        made = trial.made
        self.images, self.factor = (
            torch.from_numpy(made.data.images.copy()).flatten(1).float() / 127.5 - 1,
            factor,
        )
        shares = trial._shares()
        self.log_ratios = torch.from_numpy(np.log(shares["reference"] / shares["biased"])[made.data.groups])

    def log_ratio(self, x, sigma):
        """Without noise the nearest image is the image itself."""
        return self.factor * self.log_ratios[torch.cdist(x.flatten(1), self.images).argmin(1)]


class Same(Shares):
    def log_ratio(self, x, sigma):
        return 0 * x.flatten(1).sum(1)


def test_a_ratio_of_one_costs_log_two_on_fresh_images(trial):
    assert trial.fresh_loss(Same(trial)) == pytest.approx(math.log(2), abs=1e-6)


def test_the_right_ratio_is_best_on_fresh_images(trial, monkeypatch):
    """With hardly any noise the best log ratio is that of the group shares; its loss is known from the shares."""
    monkeypatch.setattr(
        "tiwlib.runs.trial.NOISE_DISTRIBUTION", type("Quiet", (), {"P_mean": -9.0, "P_std": 0.0})
    )
    shares = trial._shares()
    r, b = shares["reference"], shares["biased"]
    expected = -0.5 * (r * np.log(r / (r + b)) + b * np.log(b / (r + b))).sum()
    right = trial.fresh_loss(Shares(trial), draws=1)
    assert right == pytest.approx(expected, abs=1e-3)  # float32 noise; images of two classes never coincide
    assert right < min(trial.fresh_loss(Shares(trial, f), draws=1) for f in (0.5, 1.5))


def test_members_differ_in_their_weights_and_agree_in_their_data(trial):
    first, again, other = trial.fit_ratio(0), trial.fit_ratio(0), trial.fit_ratio(1)
    assert first.heldout_loss == again.heldout_loss != other.heldout_loss
    crossed = trial.cross_fit(3)
    assert [len(part) for part in crossed.folds] == [500, 50] and len(crossed.fits) == 3
    assert trial.target == pytest.approx(np.full(10, 0.1))
