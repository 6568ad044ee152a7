"""Who names the group of a sample: a labeller that methods may use, and judges that only the evaluation may.

They are different kinds of model, trained on different data: a method that pleases its own classifier is not
thereby fair.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from sklearn.svm import SVC
from torch import Tensor

from tiwlib.data import ImageData
from tiwlib.gaussians import MODES
from tiwlib.measures import classifier


class Labeller:
    """A support-vector machine that has learned the groups from the labelled biased set, rare ones as heavy.

    x0: (N, *shape); labels: int64 (N,) in 0..n_groups-1.
    """

    def __init__(self, x0: Tensor, labels: Tensor, n_groups: int):
        self.n_groups = n_groups
        self.model = SVC(C=10, class_weight="balanced").fit(x0.flatten(1).numpy(), labels.numpy())

    def predict(self, x: Tensor) -> Tensor:
        """The group of each sample (B, *shape): int64 (B,)."""
        return torch.from_numpy(self.model.predict(x.flatten(1).numpy()))


class PlaneJudge:
    """The nearer of the two modes, which is the Bayes rule of the balanced mixture. Features are the points."""

    confusion = None  # the rule is exact but for the tails of the modes

    def groups(self, x: Tensor) -> np.ndarray:
        """int64 (B,): 1 nearer to the second mode."""
        return torch.cdist(x, torch.tensor(MODES)).argmin(1).numpy()

    def features(self, x: Tensor) -> Tensor:
        return x


class DigitsJudge:
    """The classifier of all ten digits, trained on the full data; groups are sets of digits.

    groups: for each digit its group; digits beyond its length are in no group, and are not named. Samples are
    points (B, 64) or images (B, 1, 8, 8) in [-1, 1]. confusion: int (G, G), true group by named group, on the
    images that its training held out.
    """

    def __init__(self, data: ImageData, groups: list[int], folder: Path):
        self.digit_groups = np.asarray(groups)
        _, self.model, _ = classifier.fit_once(data, folder)
        _, held = classifier.split(len(data.images))
        held = held[data.groups[held] < len(groups)]
        named = self._named(torch.from_numpy(data.images[held]).float() / 127.5 - 1)
        labels = range(int(self.digit_groups.max()) + 1)
        self.confusion = confusion_matrix(self.digit_groups[data.groups[held]], named, labels=labels)

    @torch.no_grad()
    def _named(self, images: Tensor) -> np.ndarray:
        digit = self.model(images)[:, : len(self.digit_groups)].argmax(1).numpy()
        return self.digit_groups[digit]

    def groups(self, x: Tensor) -> np.ndarray:
        """The group of each sample: int64 (B,)."""
        return self._named(x.clamp(-1, 1).reshape(-1, 1, 8, 8))

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """The classifier's 64 features (B, 64)."""
        return self.model.features(x.clamp(-1, 1).reshape(-1, 1, 8, 8))
