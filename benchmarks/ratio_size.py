"""Is a small ratio network enough? Its held-out loss beside that of one ten times larger, on the same splits.

    python benchmarks/ratio_size.py --root data

Both see the same batches, augmented as in training; the loss is the lowest on the way, so that neither is judged by
its overfitting alone. A few held-out images say nothing: a setting that holds out fewer than 50 reference images, or
fewer than five splits, are refused.
"""

import argparse
import json
import math
import time
from pathlib import Path

import machine
import pandas as pd
import torch
import yaml

from tiwlib import devices, ratio, runs
from tiwlib.data import Subset, bias
from tiwlib.measures import intervals
from tiwlib.networks import image_ratio, parameters_of, seeded
from tiwlib.noise import LogNormal
from tiwlib.runs import write_json

WIDTHS = (32, 104)  # the default, and ten times its parameters
LEAST_HELD_OUT = 50
LEAST_SPLITS = 5


def fitted(params: dict, seed: int, width: int, evaluations: int, draws: int, device: torch.device) -> dict:
    """One network's row: its held-out loss in nats, as notebook 05 fits a ratio with these parameters."""
    given = bias.from_parameters(params | {"seed": seed}, Path.cwd())
    sets = [
        Subset(given.data.images, part).on(device) for part in (given.split.biased, given.split.reference)
    ]
    config = ratio.RatioConfig(
        steps=params["ratio_steps"], lr=params["ratio_lr"], batch_size=params["ratio_batch"], stop="best",
        flip=params["flip"], evaluations=evaluations, heldout_draws=draws,
    )  # fmt: skip
    held_out = round(config.holdout * len(sets[1]))
    if held_out < LEAST_HELD_OUT:
        raise ValueError(
            f"setting={params['setting']!r}: {held_out} held-out reference images; "
            f"must be at least {LEAST_HELD_OUT}"
        )
    dropout = params["ratio_dropout"]
    network = seeded(image_ratio, given.data.images.shape[1], width, dropout, seed=seed)
    parameters, began = parameters_of(network), time.perf_counter()
    best = ratio.fit(network, *sets, LogNormal(), seed=seed, device=device, **vars(config))
    return {
        "seed": seed,
        "parameters": parameters,
        "heldout_loss": best.heldout_loss,
        "heldout_reference_images": held_out,
        "at_step": best.step,
        "seconds": round(time.perf_counter() - began, 1),
    }


def compared(rows: list[dict]) -> dict[str, float]:
    """The small network's loss minus the large one's over the splits: mean and 95 % t interval, in nats."""
    table = pd.DataFrame(rows).pivot(index="seed", columns="parameters", values="heldout_loss")
    small, large = sorted(table.columns)
    mean, low, high = intervals.mean_interval(table[small] - table[large])
    return {"mean": mean, "low": low, "high": high}


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", default="05_mnist.yaml", help="a file of notebooks/params, or ''")
    parser.add_argument("--setting", default="mnist14-lt-25")
    parser.add_argument("--root", default="data")
    parser.add_argument("--source", default="", help="a folder or zip of the images, instead of a download")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--steps", type=int, help="default: ratio_steps of the parameters")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--widths", type=int, nargs=2, default=WIDTHS)
    parser.add_argument("--evaluations", type=int, default=12)
    parser.add_argument("--draws", type=int, default=2048, help="held-out noisy images at each evaluation")
    parser.add_argument(
        "--machine", help="for the name of the file; default: the chip or the processor's kind"
    )
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the record")
    options = parser.parse_args(arguments)
    if options.splits < LEAST_SPLITS:
        raise ValueError(f"splits={options.splits}: must be at least {LEAST_SPLITS}")
    params = runs.defaults("05_train")
    if options.parameters:
        params |= yaml.safe_load((runs.PROJECT / "notebooks" / "params" / options.parameters).read_text())
    params |= {"setting": options.setting, "root": options.root, "source": options.source}
    params |= {"ratio_steps": options.steps or params["ratio_steps"], "ratio_batch": options.batch}
    device, rows, provenance = devices.accelerator().device, [], machine.provenance()
    for seed in range(options.splits):
        for width in options.widths:
            rows.append(fitted(params, seed, width, options.evaluations, options.draws, device))
            print(json.dumps(rows[-1]), flush=True)
    difference = compared(rows)
    print(f"small minus large: {intervals.as_text(difference)} nats, t interval of {options.splits} splits")
    print(f"chance level is {math.log(2):.4f} nats")
    names = ("setting", "ratio_steps", "ratio_batch", "ratio_lr", "ratio_dropout", "flip")
    name = options.machine or machine.machine(device)
    record = {"machine": name, "chip": machine.chip(device), **provenance}
    record |= {"splits": options.splits, **{key: params[key] for key in names}}
    record |= {"difference": difference, "rows": rows}
    write_json(options.out / f"{name}-ratio-size-{Path(options.setting).stem}.json", record)
    return record


if __name__ == "__main__":
    main()
