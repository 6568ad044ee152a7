"""Judges of images: whoever names the groups of samples, and no training ever sees."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from tiwlib.data import ImageData
from tiwlib.measures import classifier as classifiers
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


class HueJudge:
    """Reads the hue off the pixels, and what is shown off their brightness, by a classifier of grey images.

    The features are that classifier's: they do not see the hue. group_of: int (K, H), the group of each class in
    each hue; hues: (H, 3), two hues. Samples: (B, 3, H, W), others are a ValueError.
    """

    def __init__(
        self,
        classifier: nn.Module,
        group_names: tuple[str, ...],
        *,
        group_of: np.ndarray,
        hues: np.ndarray,
        device="cpu",
    ):
        self.group_names, self.group_of = tuple(group_names), torch.from_numpy(group_of)
        self.unmix = torch.linalg.pinv(
            torch.from_numpy(hues).T
        )  # (2, 3): from a colour to its part of each hue
        self.classes = ClassifierJudge(classifier, tuple(map(str, range(len(group_of)))), device=device)

    def probabilities(self, x: np.ndarray | Tensor) -> Tensor:
        """(B, 3, H, W), uint8 or in [-1, 1], -> (B, G): of all classes and hues of a group together.

        A hue has the probability of its part in the mean colour of what is drawn, the pixels at least half as
        bright as the brightest: one of an image painted in it alone, a half of a grey or a black one.
        """
        hues, grey = self._parts(x)
        both = self.classes.probabilities(grey)[:, :, None] * hues[:, None].cpu()  # (B, K, 2)
        return torch.stack([both[:, self.group_of == g].sum(1) for g in range(len(self.group_names))], 1)

    def features(self, x: np.ndarray | Tensor) -> Tensor:
        """(B, 3, H, W), uint8 or in [-1, 1], -> float64 (B, F): of the brightest channel."""
        return self.classes.features(self._parts(x)[1])

    def _parts(self, x: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Part of each hue in [0, 1], (B, 2), and the grey image in [-1, 1], (B, 1, H, W)."""
        x = to_float(x, torch.float64).clamp(-1, 1)
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f"x has shape {tuple(x.shape)}: a hue is read off images of 3 channels")
        grey, light = x.amax(1, keepdim=True), (x + 1) / 2  # (B, 1, H, W) in [-1, 1], (B, 3, H, W) in [0, 1]
        # a faint tint of the ground has many pixels: it would count as much as the strokes
        strokes = grey + 1 >= (grey + 1).amax((2, 3), keepdim=True) / 2
        amounts = ((light * strokes).mean((2, 3)).cpu() @ self.unmix.T).clamp(min=0)  # (B, 2)
        total = amounts.sum(1, keepdim=True)
        return torch.where(total > 0, amounts / total, 0.5), grey


def of_data(data: ImageData, *, device="cpu") -> tuple[ClassifierJudge | HueJudge, classifiers.Fitted]:
    """The judge of a data set with groups, and the classifier that it rests on, fitted once on all of the images.

    For coloured images that is the classifier of the grey ones, which all their settings share.
    """
    if data.coloured is None:
        fitted = classifiers.fit_once(data, device=device)
        return ClassifierJudge(fitted.network, data.group_names, device=device), fitted
    coloured = data.coloured
    fitted = classifiers.fit_once(coloured.grey, device=device)
    options = {"group_of": coloured.group_of, "hues": coloured.hues, "device": device}
    return HueJudge(fitted.network, data.group_names, **options), fitted
