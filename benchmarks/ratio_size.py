"""Is a small ratio network enough? Its held-out loss beside that of one ten times larger, on the same splits.

    python benchmarks/ratio_size.py --root data

Both see the same batches; the loss is the lowest on the way, so that neither is judged by its overfitting alone.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import pandas as pd
import torch

from tiwlib import devices, ratio
from tiwlib.data import Subset, bias
from tiwlib.measures import intervals
from tiwlib.networks import image_ratio, seeded
from tiwlib.noise import LogNormal

WIDTHS = (32, 104)  # the default, and ten times its parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", default="cifar10-lt-5")
    parser.add_argument("--root", default="data")
    parser.add_argument("--source", default="", help="a folder or zip of the images, instead of a download")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--evaluations", type=int, default=8)
    parser.add_argument(
        "--machine", default=f"{platform.machine()}-{os.cpu_count()}-cores", help="for the name"
    )
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds {options.seeds}: an interval needs two at least")
    device, rows = devices.accelerator().device, []
    for seed in range(options.seeds):
        params = {"setting": options.setting, "root": options.root, "source": options.source, "seed": seed}
        made = bias.from_parameters(params, Path.cwd())
        sets = [
            Subset(made.data.images, part).on(device) for part in (made.split.biased, made.split.reference)
        ]
        for width in WIDTHS:
            network = seeded(image_ratio, made.data.images.shape[1], width, options.dropout, seed=seed)
            began = time.perf_counter()
            fitted = ratio.fit(
                network, *sets, LogNormal(), steps=options.steps, batch_size=options.batch, lr=3e-4, stop="best",
                flip=True, seed=seed, evaluations=options.evaluations, heldout_draws=2048, device=device,
            )  # fmt: skip
            rows.append(
                {
                    "seed": seed,
                    "parameters": sum(p.numel() for p in network.parameters()),
                    "heldout_loss": fitted.heldout_loss,
                    "at_step": fitted.step,
                    "seconds": round(time.perf_counter() - began, 1),
                }
            )
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).pivot(index="seed", columns="parameters", values="heldout_loss")
    small, large = sorted(table.columns)
    mean, low, high = intervals.mean_interval(table[small] - table[large])
    print(
        f"small minus large, nats: {mean:.4f} ({low:.4f} to {high:.4f}, t interval of {options.seeds} splits)"
    )
    asked = {name: value for name, value in vars(options).items() if name not in ("root", "source")}
    found = {"torch": torch.__version__, **asked, "difference": {"mean": mean, "low": low, "high": high}}
    found["rows"] = rows
    out = (
        Path(__file__).parent / "results" / f"{options.machine}-ratio-size-{Path(options.setting).stem}.json"
    )
    out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
