"""One run of notebook 04, from its parameters to its samples; also the work of one process among several.

    torchrun --nproc_per_node 2 -m tiwlib.runs.experiment parameters.yaml

trains and samples with two processes and leaves the result under checkpoints/, where the notebook with the same
parameters takes it up: it calls this itself for num_processes > 1. On several machines, start it on each with
torchrun's --nnodes and --rdzv_endpoint, and a checkpoints/ that all of them see.
"""

import ast
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import yaml
from accelerate import Accelerator
from torch.distributed.elastic.multiprocessing.errors import record

from tiwlib import devices, objectives, ratio, runs, sampling, training
from tiwlib.batches import Observed
from tiwlib.data import Subset, bias
from tiwlib.estimators.frozen import frozen_ratio
from tiwlib.measures.distances import to_uint8
from tiwlib.networks import DenoiserNet, image_denoiser, image_ratio, paper_denoiser, seeded
from tiwlib.noise import Clean, LogNormal
from tiwlib.runs import checkpoints

NOTEBOOK = "04_train"
NETWORKS = {"small": image_denoiser, "paper": paper_denoiser}


class Experiment:
    """What a run of notebook 04 is made of. params: its parameters, checked by runs.parameters.

    Bad parameters are ValueErrors here, before anything is fitted.
    """

    def __init__(self, params: dict, accelerator: Accelerator | None = None):
        self.params = p = params
        if p["network"] not in NETWORKS:
            raise ValueError(f"network={p['network']!r}: must be one of {', '.join(NETWORKS)}")
        if p["n_samples"] < 1:
            raise ValueError(f"n_samples={p['n_samples']}: must be at least 1")
        among = p["num_processes"]
        refuse_missing_devices(among, p["device"])
        if p["batch_size"] % among or p["n_samples"] < among:
            raise ValueError(
                f"batch_size={p['batch_size']}, n_samples={p['n_samples']}: must be a multiple of, and at least, "
                f"num_processes={among}"
            )
        self.method = objectives.method(p["method"])
        self.schedule = training.Schedule(
            steps=p["steps"],
            batch_size=p["batch_size"],
            lr=p["lr"],
            warmup=p["warmup"],
            ema_half_life=p["ema_half_life"] or max(1, p["steps"] / 14),
            flip=p["flip"],
            precision=p["precision"],
            micro_batch=p["micro_batch"],
            checkpoint_minutes=p["checkpoint_minutes"],
        )
        self.accelerator = accelerator or devices.accelerator(p["device"])
        self.device = self.accelerator.device
        self.made = bias.from_parameters(p, runs.PROJECT)
        self.data, self.split = self.made.data, self.made.split
        images = self.data.images
        self.biased = Subset(images, self.split.biased).on(self.device)
        self.reference = Subset(images, self.split.reference).on(self.device)
        self.observed = Observed(self.biased, self.reference, self.method.fraction(p["reference_fraction"]))
        self.noise_distribution = LogNormal()
        self.hashes = {"split": self.split.sha256, "images": self.data.sha256}

    @property
    def name(self) -> str:
        """The name of the run: the parameter, or else setting, method and seed."""
        p = self.params
        pi = [f"pi{p['reference_fraction']:g}"] if p["reference_fraction"] is not None else []
        alpha = [f"alpha{p['alpha']:g}"] if p["alpha"] != 1 else []
        return p["run"] or "-".join([self.split.setting, p["method"], *pi, *alpha, f"seed{p['seed']}"])

    @property
    def checkpoint(self) -> Path:
        """The folder of the run's states, and of the samples that several processes have drawn."""
        return runs.checkpoints() / NOTEBOOK / self.name

    def fit_ratio(self) -> ratio.FittedRatio | None:
        """The ratio that the method asks for: fitted once for its split and kept; None where it needs none."""
        if not self.method.ratio:
            return None
        p, noise_distribution = (
            self.params,
            self.noise_distribution if self.method.ratio == "time_dependent" else Clean(),
        )
        channels, dropout = self.data.images.shape[1], p["ratio_dropout"]
        if p["ratio_features"]:
            network = seeded(frozen_ratio, runs.PROJECT / p["ratio_features"], dropout, seed=p["seed"])
        else:
            network = seeded(image_ratio, channels, dropout=dropout, seed=p["seed"])
        sets, options = (self.biased, self.reference), self._ratio_options
        fitted = ratio.fit_once(
            self.ratio_path, network, *sets, noise_distribution, **options, device=self.device
        )
        self.hashes["ratio"] = runs.sha256(self.ratio_path)
        return fitted

    @property
    def _ratio_options(self) -> dict:
        p = self.params  # flip: the same augmentation as the score network
        names = {"steps": p["ratio_steps"], "lr": p["ratio_lr"], "flip": p["flip"], "seed": p["seed"]}
        return {**names, "batch_size": 128}

    @property
    def ratio_path(self) -> Path:
        """Where the fitted ratio is kept: the name says all that it depends on."""
        p = self.params
        key = {"split": self.split.sha256, "images": self.data.sha256, "kind": self.method.ratio}
        key |= {"dropout": p["ratio_dropout"], "features": p["ratio_features"], "code": ratio.code()}
        return runs.checkpoints() / f"ratio-{runs.digest(key | self._ratio_options)[:16]}.safetensors"

    @property
    def ratio_is_kept(self) -> bool:
        """Whether the ratio was fitted before, by a run on the same split."""
        return self.method.ratio is not None and self.ratio_path.exists()

    @property
    def training_stage(self) -> str:
        """What the record calls the time of training: a part of it only, where a state is taken up."""
        return "training, taken up" if checkpoints.states(self.checkpoint) else "training"

    def denoiser(self) -> DenoiserNet:
        """The untrained network, its weights from the seed alone."""
        p, (channels, side) = self.params, self.data.images.shape[1:3]
        width = {"width": p["width"]} if p["network"] == "small" else {}
        build = NETWORKS[p["network"]]
        return seeded(build, channels, side, dropout=p["dropout"], seed=p["seed"], **width)

    def train(self, denoiser: DenoiserNet, fitted: ratio.FittedRatio | None):
        """Train in place by training.train, whose reports this yields; takes up a state that is there.

        Where another command trains this run, a RuntimeError.
        """
        p, first = self.params, self.accelerator.is_main_process
        identity = {**self.hashes, "network": p["network"], "width": p["width"], "dropout": p["dropout"]}
        if p["compiled"]:
            for network in [denoiser, *([fitted.network] if fitted else [])]:
                devices.compile_backbone(network)
        with runs.alone(self.checkpoint, self.name) if first else nullcontext():
            yield from training.train(
                denoiser, self.method, self.observed, self.noise_distribution, self.schedule, ratio=fitted, alpha=p["alpha"],
                seed=p["seed"], checkpoint=self.checkpoint, identity=identity, accelerator=self.accelerator,
            )  # fmt: skip

    def sample(self, denoiser: DenoiserNet) -> np.ndarray:
        """n_samples images, uint8 (N, C, H, W): drawn before by several processes, or now."""
        p, shape = self.params, self.data.images.shape[1:]
        if self._samples_path.exists():
            return np.load(self._samples_path)
        rank, among = self.accelerator.process_index, self.accelerator.num_processes
        first, end = (p["n_samples"] * r // among for r in (rank, rank + 1))
        x = sampling.sample(
            denoiser.to(self.device), end - first, shape, first=first, steps=p["sampling_steps"], seed=p["seed"],
            precision=p["precision"], device=self.device,
        )  # fmt: skip
        return to_uint8(x)

    @property
    def _samples_path(self) -> Path:
        return self.checkpoint / f"samples-{self.params['n_samples']}-{self.params['sampling_steps']}.npy"

    def share_samples(self, denoiser: DenoiserNet) -> None:
        """Draw n_samples with all processes together; the first one keeps them for the notebook."""
        mine = self.checkpoint / f"part-{self.accelerator.process_index}.npy"
        np.save(mine, self.sample(denoiser))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            parts = [self.checkpoint / f"part-{i}.npy" for i in range(self.accelerator.num_processes)]
            partial = self.checkpoint / "samples.partial.npy"
            np.save(partial, np.concatenate([np.load(part) for part in parts]))
            partial.replace(self._samples_path)
            for part in parts:
                part.unlink()

    def forget(self) -> None:
        """Drop states and kept samples: a repetition of the run trains again."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)


def refuse_missing_devices(num_processes: int, device: str) -> None:
    """More processes than CUDA devices, where there are any, are a ValueError: two would share one."""
    if num_processes < 1:
        raise ValueError(f"num_processes={num_processes}: must be at least 1")
    there = torch.cuda.device_count()
    if device != "cpu" and 0 < there < num_processes:
        raise ValueError(
            f"num_processes={num_processes}: this machine has {there} CUDA devices, one process each"
        )


def launch(params: dict, checkpoint: Path) -> None:
    """Run `main` in params["num_processes"] processes of this machine by torchrun; returns when all are done.

    Their output goes to <checkpoint>/log.txt; where one fails, a RuntimeError shows its end.
    """
    checkpoint.mkdir(parents=True, exist_ok=True)
    runs.write_json(checkpoint / "parameters.json", params)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc_per_node", str(params["num_processes"]), "-m", "tiwlib.runs.experiment"]
    with (checkpoint / "log.txt").open("w") as log:
        done = subprocess.run(
            [*torchrun, checkpoint / "parameters.json"], stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        end = "\n".join((checkpoint / "log.txt").read_text().splitlines()[-40:])
        raise RuntimeError(
            f"num_processes={params['num_processes']}: a process failed, {log.name} ends so:\n{end}"
        )


@record  # torchrun shows the traceback of the process that failed first
def main(path: Path) -> None:
    """Train and sample as one of the processes that torchrun has started. path: parameters, .json or .yaml."""
    declared = runs.declared(NOTEBOOK)
    given = yaml.safe_load(Path(path).read_text())
    params = {name: ast.literal_eval(entry["default"]) for name, entry in declared.items()} | given
    params = runs.parameters(NOTEBOOK, params)
    accelerator = devices.accelerator(params["device"])
    with accelerator.main_process_first():  # the others find the images and the ratio made
        experiment = Experiment(params, accelerator)
        fitted = experiment.fit_ratio()
    denoiser = experiment.denoiser()
    for _ in experiment.train(denoiser, fitted):
        pass
    if not experiment._samples_path.exists():
        experiment.share_samples(denoiser)
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
