"""The Inception of the FID: when distances are taken in its features, where its weights are, and that they are it.

torch-fidelity unpickles its weight file without restriction, and does not check what it has downloaded. So the
sha256 of a file is compared with the published one before anything opens it, the download has a folder of its own,
and the file is read under TORCH_FORCE_WEIGHTS_ONLY_LOAD, torch's own switch: anything but tensors is refused.

In float32 a feature depends on the size of the batch it came in (other kernels, TensorFloat-32 on a GPU). So all
is computed in float64: the same features from any batch size, and nearly the same on any device. Inception pays for
that: more than ten times slower on a CPU. A small sample can bear it; thousands of images want a GPU with fast
float64, as data centres have.
"""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from tiwlib.data import ImageData
from tiwlib.measures.distances import NEIGHBOURS
from tiwlib.runs import cache

EXTRACTORS = ("inception", "classifier", "none")
NAME = Path(URL_INCEPTION_V3).name  # weights-inception-2015-12-05-6726825d.pth
SHA256 = (
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # its first digits are in the name
)


def choose(asked: str, data: ImageData, n_samples: int) -> str:
    """Whose features the distances are taken in: `asked`, or "" for what suits the data.

    That is "inception" for the named data sets of natural images, "classifier" for other images with groups, and
    "none" where there are none: nothing then says what unbiased images look like but the reference set itself.
    """
    if asked not in ("", *EXTRACTORS):
        raise ValueError(f"feature_extractor={asked!r}: must be one of {', '.join(EXTRACTORS)}, or empty")
    if asked != "none" and n_samples <= NEIGHBOURS:
        raise ValueError(f"n_samples={n_samples}: distances between sets need at least {NEIGHBOURS + 1}")
    if asked == "classifier" and data.groups is None:
        raise ValueError(
            "feature_extractor='classifier': the images have no groups; allowed are inception, none"
        )
    if asked:
        return asked
    if data.natural:
        return "inception"
    return "none" if data.groups is None else "classifier"


def weights(path: str | Path = "") -> Path:
    """Where the weights of the FID's Inception are: `path`, or our own copy, downloaded if need be.

    The file is compared with the published hash, so that what is wrong with it is said before a training starts.
    FileNotFoundError where neither is there, ValueError for a file of something else.
    """
    way_out = f"give the path of {NAME} (-p inception_weights PATH), or -p feature_extractor classifier"
    own = cache.checkpoints() / "inception" / NAME
    if path and not Path(path).is_file():
        raise FileNotFoundError(f"inception_weights={str(path)!r}: no such file; {way_out}")
    if not path and not own.is_file():
        own.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(own), SHA256, progress=False)
        except (OSError, RuntimeError) as error:  # no network, or not what its name promises
            raise FileNotFoundError(
                f"inception_weights: not in {own}, and {URL_INCEPTION_V3} could not be fetched ({error}); "
                f"{way_out}"
            ) from None
    chosen = Path(path) if path else own
    _check(chosen, way_out)
    return chosen


def _check(path: Path, way_out: str) -> None:
    """Raise ValueError where the file is not the published one. It is read as bytes, nothing is unpickled."""
    if (found := cache.sha256(path)) != SHA256:
        raise ValueError(
            f"inception_weights={str(path)!r}: sha256 {found} is not that of Inception's published weights, "
            f"{SHA256}; {way_out}"
        )


@contextmanager
def tensors_only() -> Iterator[None]:
    """Within it, torch.load refuses whatever is no tensor, also where a library asks for all."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


class Inception(nn.Module):
    """Inception's last pooling: uint8 (B, 1 or 3, H, W) -> (B, 2048), rounded to float32 by torch-fidelity.

    weights: from `weights`; a file of another hash is a ValueError. Computes in float64 on the device.
    """

    def __init__(self, weights: Path, device="cpu"):
        super().__init__()
        _check(Path(weights), f"give the path of {NAME}")
        with tensors_only():
            self.network = FeatureExtractorInceptionV3("inception", ["2048"], str(weights))
        # feature_extractor_internal_dtype="float64" would be the way, but torch-fidelity 0.4.0 takes it for float32
        self.network.double().feature_extractor_internal_dtype = torch.float64
        self.device = torch.device(device)
        self.to(self.device)

    def forward(self, images: Tensor) -> Tensor:
        images = torch.as_tensor(images).to(self.device)
        return self.network(images.expand(-1, 3, -1, -1))[0].double()
