"""From image files to uint8 arrays."""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tiwlib.data.archive import ImageFiles

FORMATS = ("BMP", "JPEG", "PNG", "WEBP")  # each decoder left out is one that a hostile file cannot reach
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")  # 8 bits a channel: others would be cut off in silence
PNG = b"\x89PNG\r\n\x1a\n"  # 16 bytes on, a PNG says how many bits a channel has; Pillow gives 8 in any case
MAX_PIXELS = 2**26  # 8192 x 8192
CHUNK = 512  # images decoded between two writes


def decode(content: bytes, name: str, size: int | None, channels: int, crop: int | None = None) -> np.ndarray:
    """One image file as uint8 (C, H, W).

    size: side of the result, from the largest centred square; None keeps the image as it is
    channels: 1 (grey) or 3 (RGB); crop: side of the centred square to start from, in pixels
    Raises ValueError that names the file where it is damaged, too large, or of more than 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels; allowed are {MAX_PIXELS}")
            depth = content[24] if content.startswith(PNG) else 8
            if image.mode not in MODES or depth > 8:
                raise ValueError(f"mode {image.mode}, {depth} bits; allowed are 8 bits in {', '.join(MODES)}")
            upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # whose text names an object in memory
        reason = f"allowed formats are {', '.join(FORMATS)}" if unknown else error
        raise ValueError(f"{name} cannot be read as an image ({reason})") from None
    if crop is not None:
        left, top = (upright.width - crop) // 2, (upright.height - crop) // 2
        upright = upright.crop((left, top, left + crop, top + crop))
    if size is not None and upright.size != (size, size):
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
    array = np.asarray(upright)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def decode_all(
    items: Sequence[tuple[ImageFiles, str]], size: int | None, channels: int, crop: int | None = None
) -> Iterator[np.ndarray]:
    """Decode many files on all cores, in order: yields uint8 (B, C, H, W).

    Raises ValueError where, with no size given, two images differ in size.
    """

    def one(item: tuple[ImageFiles, str]) -> np.ndarray:
        files, name = item
        return decode(files.read(name), f"{files.label}/{name}", size, channels, crop)

    shape = None
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # PIL decodes outside the interpreter's lock
        for start in range(0, len(items), CHUNK):
            arrays = list(pool.map(one, items[start : start + CHUNK]))
            shape = shape or arrays[0].shape
            for (_, name), array in zip(items[start:], arrays, strict=False):
                if array.shape != shape:
                    raise ValueError(
                        f"size: {name} is {array.shape[2]} x {array.shape[1]} pixels, {items[0][1]} is "
                        f"{shape[2]} x {shape[1]}; name a size to which all are cropped and scaled"
                    )
            yield np.stack(arrays)
