"""Small image files for the tests of data sets."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

# Downloads beside some checkouts, part of none: a folder with MNIST/raw in it. Tests skip where they are not.
SHARED = Path(os.environ.get("TIWLIB_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def encoded(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A random image as the bytes of a file; another seed is another image."""
    shape = size[::-1] if mode == "L" else (*size[::-1], len(mode))
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode).save(content, kind)
    return content.getvalue()


def fill_folder(folder: Path, names: list[str], first_seed: int = 0) -> Path:
    """Write one random PNG for each name."""
    for seed, name in enumerate(names, first_seed):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(seed))
    return folder


def fill_zip(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path
