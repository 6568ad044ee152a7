"""Speed and memory of the image store, on generated data: python benchmarks/data_loading.py

Feeding: batches of 256 from 162,000 images of 3 x 64 x 64 (CelebA's number), in random order over one epoch,
in a fresh process. Building: an array from a zip of 60,000 JPEG files of 32 x 32. Needs 2.3 GB of disk.

Memory is what feeding adds to that of the imports, at its peak: a few batches of floats, whatever the size of the
array. It differs by tens of MB between processes, for the allocator keeps what was freed: so several processes feed,
and the one that took most counts. The speed is that of the fastest of them, with one thread; `load` says how busy
the machine was.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import psutil

FEED = (162_000, 3, 64, 64)
FILES = 60_000
BATCH = 256
PROCESSES = 6  # that feed, one after the other
BARS = {"images_per_s": 5000, "feeding_mb": 150, "build_s": 60}


def feed(root: Path) -> dict:
    """One epoch of random batches; memory in MB."""
    process = psutil.Process()
    start = process.memory_info().rss
    import numpy as np
    import torch

    from tiwlib import data as datasets
    from tiwlib.data.store import stored

    torch.set_num_threads(1)
    imported = process.memory_info().rss
    data = stored(root / "arrays" / "feed", lambda: None)
    order = np.random.default_rng(0).permutation(len(data.images))
    peak, began = 0, time.perf_counter()
    for first in range(0, len(order), BATCH):
        x0 = datasets.batch(data.images, order[first : first + BATCH])
        peak = max(peak, process.memory_info().rss)
    seconds = time.perf_counter() - began
    return {
        "images": len(order),
        "image_bytes": x0[0].numel(),
        "images_per_s": round(len(order) / seconds),
        "feeding_mb": round((peak - imported) / 2**20),
        "imports_mb": round((imported - start) / 2**20),  # torch: what it takes differs by machine and moment
    }


def make_array(root: Path) -> None:
    """A store of random images, written by the store's own builder."""
    import numpy as np

    from tiwlib.data.store import Recipe, stored

    rng = np.random.default_rng(0)
    sizes = [min(1000, FEED[0] - first) for first in range(0, FEED[0], 1000)]
    pieces = (rng.integers(0, 256, (size, *FEED[1:]), np.uint8) for size in sizes)
    stored(root / "arrays" / "feed", lambda: Recipe("feed", FEED[0], pieces, None, ()))


def build(root: Path) -> dict:
    """Seconds from a zip of JPEG files to the array, with the zip's index read and all hashes made."""
    import numpy as np
    from PIL import Image

    from tiwlib import data as datasets

    rng = np.random.default_rng(0)
    path = root / "files.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(FILES):
            small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((32, 32))
            content = io.BytesIO()
            small.save(content, "JPEG", quality=90)
            archive.writestr(f"{i % 10}/{i:05d}.jpg", content.getvalue())
    began = time.perf_counter()
    datasets.folder(path, root)
    return {"build_s": round(time.perf_counter() - began, 1), "zip_mb": round(path.stat().st_size / 2**20)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--machine", default=f"{platform.machine()}-{os.cpu_count()}-cores", help="for the name"
    )
    parser.add_argument("--feed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.feed:
        print(json.dumps(feed(options.feed)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = build(root)
        make_array(root)
        command = [sys.executable, __file__, "--feed", folder]
        fed = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(PROCESSES)
        ]
    each = [one["feeding_mb"] for one in fed]
    found |= fed[0] | {"images_per_s": max(one["images_per_s"] for one in fed), "feeding_mb": max(each)}
    found["load"] = round(os.getloadavg()[1] / os.cpu_count(), 1)  # processes that want a core, for each core
    for name, value in found.items():
        print(f"{name:16}{value:>12,}" + (f"   bar {BARS[name]:,}" if name in BARS else ""))
    out = Path(__file__).parent / "results" / f"{options.machine}-data.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps({"machine": options.machine, "bars": BARS, **found, "each_mb": each}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
