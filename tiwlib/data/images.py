"""What every data set looks like to the rest of the library, and how a training batch leaves it."""

import mmap
from dataclasses import dataclass

import numpy as np
import torch

from tiwlib.batches import sent

CHUNK = 32  # images turned into floats at once


@dataclass(frozen=True, kw_only=True)
class Coloured:
    """What a judge must know of coloured images: the hue is read off the pixels, the class is not.

    grey     the images before they were painted, with their K classes
    group_of int (K, H), the group of each class in each hue
    hues     float (H, 3), each hue's share of the three channels, the largest 1
    """

    grey: "ImageData"
    group_of: np.ndarray
    hues: np.ndarray


@dataclass(frozen=True)
class ImageData:
    """Images with their groups.

    The images of a named data set stand *grouped*: sorted by group, and within a group in the source's own
    order. Image `i` of group `g` is therefore the same picture wherever the set comes from, and a split into
    indices depends on the sizes of the groups alone. Shuffle before you take the first n of anything.

    name        what the images are, for titles and records
    images      uint8 (N, C, H, W); a read-only memory map where the set is stored on disk
    groups      int64 (N,) in 0..len(group_names)-1, or None where the images have none
    group_names names of the groups, () where there are none
    sha256      over the bytes of images and groups
    natural     whether they are photographs whose FID the field knows
    coloured    how groups follow from hues, or None
    """

    name: str
    images: np.ndarray
    groups: np.ndarray | None
    group_names: tuple[str, ...]
    sha256: str
    natural: bool = False
    coloured: Coloured | None = None

    def group_sizes(self) -> np.ndarray:
        """Number of images in each group: int64 (G,); (0,) where there are no groups."""
        if self.groups is None:
            return np.zeros(0, np.int64)
        return np.bincount(self.groups, minlength=len(self.group_names)).astype(np.int64)


def batch(images: np.ndarray, indices: np.ndarray) -> torch.Tensor:
    """Images at `indices` as a float32 tensor (B, C, H, W) in [-1, 1].

    images: uint8 (N, C, H, W); indices: int (B,) in 0..N-1. Raises ValueError on any other index.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(f"indices: {indices.dtype} of shape {indices.shape}; allowed is an int array (B,)")
    if indices.size and not 0 <= indices.min() <= indices.max() < len(images):
        raise ValueError(
            f"indices: from {indices.min()} to {indices.max()}; allowed is 0 to {len(images) - 1}"
        )
    x0 = torch.empty(len(indices), *images.shape[1:])
    for start in range(
        0, len(indices), CHUNK
    ):  # bytes and floats of a whole batch at once would be held twice
        x0[start : start + CHUNK] = torch.from_numpy(images[indices[start : start + CHUNK]])
    release_pages(images)
    return x0.div_(127.5).sub_(1)


class Subset:
    """Some images of a data set, as what training and ratio fitting draw from.

    images: uint8 (N, C, H, W); indices: int64 (n,). subset[i] with an index tensor i (B,) into the n is a
    float32 batch (B, C, H, W) in [-1, 1], read when it is asked for.
    """

    def __init__(self, images: np.ndarray, indices: np.ndarray):
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: torch.Tensor) -> torch.Tensor:
        return batch(self.images, self.indices[i.numpy()])

    def on(self, device: torch.device) -> "Subset | OnDevice":
        """The same images held on a GPU, if they take less than a quarter of its free memory; else as they are."""
        if device.type != "cuda":
            return self
        size = len(self) * self.images[0].nbytes
        return OnDevice(self, device) if size < torch.cuda.mem_get_info(device)[0] / 4 else self


class OnDevice:
    """The images of a Subset as bytes on a device: the same batches, without a copy from the host at each step."""

    def __init__(self, subset: Subset, device: torch.device):
        self.images = torch.from_numpy(subset.images[subset.indices]).to(device)  # (n, C, H, W), uint8

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: torch.Tensor) -> torch.Tensor:
        return self.images[sent(i, self.images.device)].float().div_(127.5).sub_(1)


def release_pages(images: np.ndarray) -> None:
    """Give the pages just read back to the system's cache, so that memory stays that of one batch.

    A memory map counts each page it has touched as resident: one epoch would hold the whole data set. The
    pages stay in the page cache, from which the next read takes them again without touching the disk.
    """
    if isinstance(images.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        images.base.madvise(mmap.MADV_DONTNEED)
