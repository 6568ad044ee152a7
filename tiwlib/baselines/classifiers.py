"""Who names the group of a sample: a labeller that methods may use, and judges that only the evaluation may.

They are different kinds of model, trained on different data: a method that pleases its own classifier is not
thereby fair.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from sklearn.svm import SVC
from torch import Tensor
from torch.nn.functional import one_hot

from tiwlib import data as datasets
from tiwlib.data.problems import nearer_mode
from tiwlib.measures import classifier
from tiwlib.measures.judges import ClassifierJudge
from tiwlib.measures.samples import Judge, probabilities


def groups_of(judge: Judge, x) -> np.ndarray:
    """The likeliest group of each sample, by a judge: int64 (B,)."""
    return probabilities(judge, x).argmax(1)


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


@dataclass(frozen=True)
class ModesJudge:
    """The nearer of the two modes of the 2-D example: exact but for their tails. Features are the points."""

    group_names: tuple[str, ...]
    confusion: ClassVar[None] = None

    def probabilities(self, x: Tensor) -> Tensor:
        """0 or 1, (B, 2)."""
        return one_hot(nearer_mode(x), 2).double()

    def features(self, x: Tensor) -> Tensor:
        return x


class DigitsJudge(ClassifierJudge):
    """The classifier of all ten digits, trained on the full data; groups are sets of digits.

    groups: for each digit its group; digits beyond its length are in no group. Samples are points (B, 64) or images
    (B, 1, 8, 8) in [-1, 1]. confusion: int (G, G), true group by named group, on the images that its training held
    out.
    """

    def __init__(self, groups: list[int], group_names: tuple[str, ...]):
        data = datasets.load("digits")
        network = classifier.fit_once(data).network
        super().__init__(network, group_names, groups=groups, shape=data.images.shape[1:])
        _, held = classifier.split(len(data.images))
        held = held[data.groups[held] < len(groups)]
        true = np.asarray(groups)[data.groups[held]]
        self.confusion = confusion_matrix(
            true, groups_of(self, data.images[held]), labels=range(len(group_names))
        )
