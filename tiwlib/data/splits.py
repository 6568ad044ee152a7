"""A split: which images are biased and which are reference, as an index file with a hash."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tiwlib.runs.cache import whole


@dataclass(frozen=True)
class Split:
    """Indices of the biased and of the reference images in an `ImageData`.

    setting    name of the setting
    seed       of the draw
    definition what was asked: bias, arguments, reference share, sizes of the groups
    biased     int64 (Nb,), sorted
    reference  int64 (Nr,), sorted, disjoint from biased

    Raises ValueError where a set is empty, not sorted and unique, or overlaps the other.
    """

    setting: str
    seed: int
    definition: dict
    biased: np.ndarray
    reference: np.ndarray

    def __post_init__(self):
        for name in ("biased", "reference"):
            indices = getattr(self, name)
            if indices.ndim != 1 or indices.dtype != np.int64 or indices.size == 0:
                raise ValueError(f"{name}: {indices.dtype} {indices.shape}; allowed is int64 (N,) with N > 0")
            if indices[0] < 0 or (np.diff(indices) <= 0).any():
                raise ValueError(f"{name}: indices are negative, unsorted or repeated; allowed is ascending")
        both = np.intersect1d(self.biased, self.reference)
        if both.size:
            raise ValueError(f"reference: overlaps the biased set in {both.size} images, first {both[0]}")

    @property
    def sha256(self) -> str:
        """Hash of seed, definition and indices, not of the setting's name: a renamed setting keeps it.

        Images stand grouped (see `ImageData`), so the indices follow from the sizes of the groups: the hash
        is known without any image, and is the same for a download and for a folder of the same images.
        """
        header = {"seed": self.seed, **self.definition, "counts": [len(self.biased), len(self.reference)]}
        digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
        digest.update(self.biased.astype("<i8").tobytes())
        digest.update(self.reference.astype("<i8").tobytes())
        return digest.hexdigest()

    def counts(self, groups: np.ndarray, number: int) -> dict[str, np.ndarray]:
        """Images per group in both sets: {"biased": int64 (G,), "reference": int64 (G,)}."""
        return {
            "biased": np.bincount(groups[self.biased], minlength=number),
            "reference": np.bincount(groups[self.reference], minlength=number),
        }

    def write(self, path: str | Path) -> None:
        """Write the split as JSON, in one step: a reader never sees half a file."""
        record = asdict(self) | {
            "counts": {"biased": len(self.biased), "reference": len(self.reference)},
            "sha256": self.sha256,
            "biased": self.biased.tolist(),
            "reference": self.reference.tolist(),
        }
        with whole(Path(path)) as partial:
            partial.write_text(json.dumps(record), encoding="utf-8")


def read(path: str | Path) -> Split:
    """Read a split and check its hash.

    Raises FileNotFoundError, or ValueError where the file is no split or does not match its own sha256.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; `python -m tiwlib.data prepare SETTING` writes it")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        split = Split(
            record["setting"],
            record["seed"],
            record["definition"],
            np.array(record["biased"], np.int64),
            np.array(record["reference"], np.int64),
        )
        expected = record["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no split ({error})") from None
    if split.sha256 != expected:
        raise ValueError(f"{path}: sha256 is {split.sha256}, the file says {expected}; prepare it again")
    return split
