"""One experiment shared by several processes, started by torchrun.

    torchrun --nproc_per_node 2 -m tiwlib.runs.processes parameters.yaml

trains and samples with two processes and leaves the result under checkpoints/, where the notebook with the same
parameters finds it: it calls this itself for num_processes > 1. On several machines, start it on each with
torchrun's --nnodes and --rdzv_endpoint, and a checkpoints/ that all of them see.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from torch.distributed.elastic.multiprocessing.errors import record

from tiwlib import devices, runs
from tiwlib.measures.distances import to_uint8
from tiwlib.runs import cache, mapping
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.experiment import NOTEBOOK, Experiment, from_parameters


def launch(params: dict, folder: Path) -> None:
    """Run `main` in params["num_processes"] processes of this machine by torchrun; returns when all are done.

    Their output goes to <folder>/log.txt; where one fails, a RuntimeError shows its end. Where this process is asked to
    end, so are they: they save their state, and that is a devices.Stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json(folder / "parameters.json", params)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc_per_node", str(params["num_processes"]), "-m", "tiwlib.runs.processes"]
    with (folder / "log.txt").open("w") as log, devices.Stop() as stop:
        # a session of its own: a signal reaches the processes by torchrun, once
        started = subprocess.Popen(
            [*torchrun, folder / "parameters.json"],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while started.poll() is None and not stop.asked:
                time.sleep(0.1)
        finally:
            if started.poll() is None:
                started.terminate()
    if started.wait() and stop.asked:
        raise devices.Stopped(f"told to end; {folder} has the state, and {log.name} the output")
    if started.returncode:
        end = "\n".join((folder / "log.txt").read_text().splitlines()[-40:])
        raise RuntimeError(
            f"num_processes={params['num_processes']}: a process failed, {log.name} ends so:\n{end}"
        )


def samples(experiment: Experiment, denoiser) -> np.ndarray:
    """n_samples images, uint8 (N, C, H, W): drawn before by several processes, or now by this one."""
    path = _shared(experiment)
    return np.load(path) if path.exists() else to_uint8(experiment.sample(denoiser))


def _shared(experiment: Experiment) -> Path:
    config = experiment.config
    return experiment.folder / f"samples-{config.n_samples}-{config.sampling_steps}.npy"


def share_samples(experiment: Experiment, denoiser) -> None:
    """Draw n_samples with all processes together; the first one keeps them for the notebook."""
    folder, accelerator = experiment.folder, experiment.accelerator
    np.save(folder / f"part-{accelerator.process_index}.npy", to_uint8(experiment.sample(denoiser)))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        parts = [folder / f"part-{i}.npy" for i in range(accelerator.num_processes)]
        with cache.whole(_shared(experiment)) as partial, partial.open("wb") as file:
            np.save(file, np.concatenate([np.load(part) for part in parts]))
        for part in parts:
            part.unlink()


@record  # torchrun shows the traceback of the process that failed first
def main(path: str | Path) -> None:
    """Train and sample as one of the processes that torchrun has started. path: parameters, .json or .yaml."""
    params = runs.parameters(NOTEBOOK, {**runs.defaults(NOTEBOOK), **mapping.read(path)})
    ExperimentConfig.from_parameters(params)  # refused before the processes wait for each other
    accelerator = devices.accelerator(params["device"])
    with accelerator.main_process_first():  # the others find the images and the ratio made
        experiment = from_parameters(params, accelerator)
        fitted = experiment.ratio()
    denoiser = experiment.denoiser()
    for _ in experiment.train(denoiser, fitted):
        pass
    if not _shared(experiment).exists():
        share_samples(experiment, denoiser)
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
