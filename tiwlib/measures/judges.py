"""Judges of images: whoever names the groups of samples, and no training ever sees."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from tiwlib.measures.distances import to_float


def with_float64(device: torch.device | str) -> torch.device:
    """The device, or the CPU in place of one that has no float64 (Apple's)."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


class ClassifierJudge:
    """A classifier of the data's classes, and its last hidden layer, which is taken in float64.

    group_names  of the groups
    groups       the group of each class, (K,), where they are not the classes themselves. Classes beyond K are in no
                 group: a sample is never given to them, but their probability is missing from the others
    shape        (C, H, W) of an image where samples come as points
    """

    def __init__(
        self,
        classifier: nn.Module,
        group_names: tuple[str, ...],
        *,
        groups: list[int] | None = None,
        shape: tuple[int, int, int] | None = None,
        device="cpu",
    ):
        self.group_names, self.shape = tuple(group_names), shape
        self.groups = torch.tensor(groups if groups is not None else range(len(group_names)))
        self.classifier = classifier.to(device)
        self.device, self.exact = torch.device(device), with_float64(device)
        self.network = copy.deepcopy(classifier).to(self.exact).double()

    def probabilities(self, x: np.ndarray | Tensor) -> Tensor:
        """(B, *shape), uint8 or in [-1, 1], -> (B, G): of a group's likeliest class."""
        logits = self.classifier(self._images(x, torch.float32, self.device))
        of_classes = (
            logits.cpu().double().softmax(1)
        )  # float32 would round small ones to zero, and so to equal
        parts = [of_classes[:, : len(self.groups)][:, self.groups == g] for g in range(len(self.group_names))]
        return torch.stack([part.amax(1) for part in parts], 1)

    def features(self, x: np.ndarray | Tensor) -> Tensor:
        """(B, *shape), uint8 or in [-1, 1], -> float64 (B, F)."""
        return self.network.features(self._images(x, torch.float64, self.exact))

    def _images(self, x, dtype, device) -> Tensor:
        x = to_float(x, dtype, device).clamp(-1, 1)
        return x if self.shape is None else x.reshape(-1, *self.shape)
