"""What a setting can show before a denoiser is trained on it: the control rows of its tables, and two noise levels.

    python benchmarks/setting.py digits-colour-90
    python benchmarks/setting.py digits-lt --sigma-data 0.75 --noise-mean -0.4 --noise-std 1.0 --levels 40

Held-out real images go through the judge that names the samples. A classifier of noisy images tells at which noise
levels the group is decided, beside those of training and sampler: the options say which the runs of the setting have.
A minute each; the record is results/settings/<setting>/, which the tables read.
"""

import argparse

import numpy as np
import torch

from tiwlib import plots, runs
from tiwlib.data import batch, bias
from tiwlib.data.problems import SIGMA_IMAGES, of_images
from tiwlib.measures import classifier, control, decided, judges
from tiwlib.noise import LogNormal


def measured(setting: str, root: str, *, seed: int, steps: int, n: int, levels: int, **scale: float) -> dict:
    """The record of one setting; its figure is drawn on the way. scale: sigma_data, noise_mean and noise_std."""
    params = {"setting": setting, "seed": seed, "steps": steps, "n": n, "levels": levels, **scale}
    record = runs.start("settings", setting, params)
    images = bias.load(setting, root, seed)
    trained_at = LogNormal(scale["noise_mean"], scale["noise_std"])
    problem, data, split = of_images(images, scale["sigma_data"], trained_at), images.data, images.split
    judge, fitted = judges.of_data(data)
    pi = len(split.reference) / (len(split.reference) + len(split.biased))  # DSM(obs) draws from all alike
    shares = images.shares()
    batches = pi * shares["reference"] + (1 - pi) * shares["biased"]
    real = control.of_real_images(images, judge, batches, n=n, seed=seed)
    train, held_out = (np.sort(part) for part in classifier.split(len(data.images), seed=seed))
    groups = torch.from_numpy(data.groups)
    network = decided.oracle(batch(data.images, train), groups[train], steps=steps, seed=seed)
    held_out = held_out[:: -(-len(held_out) // 2000)]
    curve = decided.information(network.logits, batch(data.images, held_out), groups[held_out])
    known = curve, problem.noise_distribution, problem.sigma_data, levels
    where = decided.where_decided(*known)
    record.figure(plots.decided(*known), "decided")
    record.hashes |= {"images": data.sha256, "split": split.sha256, "classifier": fitted.sha256}
    metrics = {
        "setting": setting,
        "reference_fraction": pi,
        "batch_shares": batches.tolist(),
        "control": real,
        "decided": where | {"curve": curve.to_dict("list")},
    }
    record.finish(metrics)
    print(
        f"{setting}: real images have precision {real['precision']:.2f}, {real['unsure']:.1%} unsure; the group is "
        f"decided between sigma {where['sigma_high']:.2g} and {where['sigma_low']:.2g}, where training spends "
        f"{where['training_share']:.1%} of its samples and the sampler {where['sampler_levels']} levels"
    )
    return metrics


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="+", help="names from `python -m tiwlib.data list`")
    parser.add_argument("--root", default="data", help="where the data are (default: data)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1500, help="of the classifier of noisy images")
    parser.add_argument("--n", type=int, default=1000, help="real images at most")
    parser.add_argument("--levels", type=int, default=18, help="of the sampler")
    parser.add_argument("--sigma-data", type=float, default=SIGMA_IMAGES, help="as in notebook 05; EDM's")
    parser.add_argument("--noise-mean", type=float, default=LogNormal.P_mean, help="as in notebook 05; EDM's")
    parser.add_argument("--noise-std", type=float, default=LogNormal.P_std, help="as in notebook 05; EDM's")
    options = vars(parser.parse_args(arguments))
    for setting in options.pop("settings"):
        measured(setting, **options)


if __name__ == "__main__":
    main()
