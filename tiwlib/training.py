"""The training loop: one generator for any loss, network and data set, stoppable between any two steps."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Protocol

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm.auto import tqdm

from tiwlib import devices
from tiwlib.batches import draw, seed_step
from tiwlib.noise import NoiseDistribution


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast. All are counted in steps but batch_size (samples of all processes together).

    warmup: the learning rate grows to lr over so many steps. lr_decay: it falls to zero at the end, along half a
    cosine, where the paper keeps it. ema_half_life: after so many a weight's trace in the moving average has halved;
    None is a fourteenth of the steps, at least one. flip: mirror half of the images. precision: "fp32", or "bf16" for
    matrix products and convolutions in bfloat16. micro_batch: samples that a process takes at once, the gradient of
    the batch is gathered in such parts; 0 takes all. log_every: between reports, where losses are looked at and the
    state is saved, if checkpoint_minutes have passed. A value that makes no sense is a ValueError that names it.
    """

    steps: int
    batch_size: int = 128
    lr: float = 1e-3
    warmup: int = 50
    lr_decay: bool = False
    ema_half_life: float | None = None
    flip: bool = False
    precision: str = "fp32"
    micro_batch: int = 0
    log_every: int = 25
    checkpoint_minutes: float = 5.0

    HOW = ("micro_batch", "log_every", "checkpoint_minutes")  # may change when a run is resumed

    def __post_init__(self):
        for name in ("steps", "batch_size", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        for name in ("lr", "ema_half_life"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}={value}: must be positive and finite")
        for name in ("warmup", "micro_batch", "checkpoint_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)}: must be finite and not negative")
        if self.precision not in devices.PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: must be one of {', '.join(devices.PRECISIONS)}")

    def lr_at(self, step: int) -> float:
        """The learning rate of a step in 0..steps-1."""
        rise = min(1, (step + 1) / max(1, self.warmup))
        fall = (1 + math.cos(math.pi * step / self.steps)) / 2 if self.lr_decay else 1
        return self.lr * rise * fall

    @property
    def ema_decay(self) -> float:
        """What the moving average keeps of itself in one step."""
        return 0.5 ** (1 / (self.ema_half_life or max(1, self.steps / 14)))


@dataclass(frozen=True)
class Progress:
    """What the loop yields at every report: the step it has reached and the losses since the report before."""

    step: int
    losses: Tensor  # (steps since the last report,), mean loss of each batch

    @property
    def loss(self) -> float:
        return self.losses.mean().item()


class Checkpoint(Protocol):
    """Where states are kept; runs.states has the one on disk. state: (network, EMA, optimiser), in place."""

    def load(self, config: dict, *state) -> tuple[Tensor, int]:
        """Restore the last state; returns the losses so far (0,) if there is none, and its number of processes."""

    def save(self, config: dict, losses: Tensor, processes: int, *state) -> None:
        """Write a state, whole or not at all."""

    def last(self) -> str | None:
        """Where the last good state is, for a message."""


def train(
    denoiser,
    loss: Callable[..., Tensor],
    data,
    noise_distribution: NoiseDistribution,
    config: TrainingConfig,
    *,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    identity: dict | None = None,
    accelerator: Accelerator | None = None,
    title: str = "training",
) -> Iterator[Progress]:
    """Train in place, yielding a Progress every `log_every` steps; afterwards the denoiser holds its EMA.

    loss: of (denoiser, x0, sigma, noise), a number for each sample, (B,), or one for the batch. data: anything with
    batch(n); where that is a pair, x0 and labels (n, ...), the loss is given the labels too.

    Step k draws its batch, noise and dropout from torch's global generators, seeded by (seed, k, process), so a
    resumed run needs no random state and equals the uninterrupted one bit for bit on the CPU. checkpoint: what states
    are written to and resumed from, their reports yielded again. identity: what tells this run from others beside
    config and seed, as its loss and the hashes of its images. accelerator: from devices.accelerator; None is this
    process on the CPU. SIGTERM or Ctrl-C saves the state after this step, with several processes after the next, and
    raises devices.Stopped. A loss that is not finite raises FloatingPointError, naming the step; a batch that does
    not fit into memory is a MemoryError that names what fits. The last good state stays.

    Under torchrun every process calls this alike: each takes its part of a batch, the first one alone writes.
    """
    accelerator = accelerator or devices.accelerator("cpu")
    device, processes = accelerator.device, accelerator.num_processes
    if config.batch_size % processes:
        raise ValueError(f"batch_size={config.batch_size}: not a multiple of {processes} processes")
    known = {key: value for key, value in asdict(config).items() if key not in TrainingConfig.HOW}
    known |= {"seed": seed, "noise_distribution": repr(noise_distribution), "identity": identity}
    known |= {"weights": [list(p.shape) for p in denoiser.parameters()]}

    denoiser.to(device, memory_format=devices.memory_format(device, config.precision))
    trained = [p for p in denoiser.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=config.lr, fused=device.type == "cuda" or None)
    ema = EMAModel(denoiser.parameters(), decay=config.ema_decay, foreach=device.type == "cuda")
    state = denoiser, ema, optimiser
    losses = resumed(checkpoint, known, state, processes, config.steps)
    yield from reports(losses, config)

    network = accelerator.prepare(denoiser)
    network.sigma_data = denoiser.sigma_data  # losses read it, and a wrapper for several processes hides it
    network.train()

    def loss_of(x0: Tensor, *others: Tensor) -> Tensor:
        with devices.autocast(device, config.precision):
            value = loss(network, x0, *others)
        if value.shape not in ((), x0.shape[:1]):
            raise ValueError(f"the loss has shape {tuple(value.shape)}: must be ({len(x0)},), or a number")
        return value

    steps, pending, saved_at = range(len(losses), config.steps), [], time.monotonic()
    hidden = {} if accelerator.is_main_process else {"disable": True}
    bar = tqdm(steps, title, config.steps, initial=steps.start, unit="step", leave=False, **hidden)
    with devices.Stop(processes) as stop:
        for step in bar:
            seed_step(seed, step, accelerator.process_index)
            batch = draw(data, config.batch_size // processes, noise_distribution, device, config.flip)
            optimiser.param_groups[0]["lr"] = config.lr_at(step)
            pending.append(learn(accelerator, network, optimiser, loss_of, batch, config.micro_batch))
            ema.step(denoiser.parameters())
            done = step + 1
            told = stop.agreed()
            if not (told or done % config.log_every == 0 or done == config.steps):
                continue
            # the only place that waits for the device
            losses = torch.cat([losses, accelerator.reduce(torch.stack(pending), "mean").cpu()])
            pending = []
            refuse_divergence(losses, denoiser, checkpoint)
            minutes = (time.monotonic() - saved_at) / 60
            if checkpoint and (told or done == config.steps or minutes >= config.checkpoint_minutes):
                if accelerator.is_main_process:
                    checkpoint.save(known, losses, processes, *state)
                saved_at = time.monotonic()
            if told:
                accelerator.wait_for_everyone()  # who ends first must not take the one that still writes with it
                raise devices.Stopped(f"told to end at step {done}; {_last_state(checkpoint)}")
            report = reports(losses, config)[-1]
            bar.set_postfix(loss=f"{report.loss:.4f}")
            yield report
    ema.copy_to(denoiser.parameters())
    denoiser.eval()


def resumed(checkpoint: Checkpoint | None, known: dict, state: tuple, processes: int, steps: int) -> Tensor:
    """Restore the last state, in place, where there is one; returns the losses so far (steps done,)."""
    if checkpoint is None:
        return torch.zeros(0)
    losses, before = checkpoint.load(known, *state)
    if before != processes and 0 < len(losses) < steps:
        warnings.warn(
            f"the state was made by {before} processes and is resumed by {processes}: from here on the batches "
            "are others, so the run is the same statistically only",
            stacklevel=3,
        )
    return losses


def reports(losses: Tensor, config: TrainingConfig) -> list[Progress]:
    """The reports that a run with these losses (steps done,) has yielded so far."""
    at = list(range(0, len(losses) + 1, config.log_every))
    if len(losses) == config.steps and at[-1] != len(losses):
        at.append(len(losses))
    return [Progress(end, losses[start:end]) for start, end in pairwise(at)]


def learn(accelerator, network, optimiser, loss_of: Callable, batch: tuple, micro_batch: int) -> Tensor:
    """One step of the optimiser along the gradient of the batch's mean loss; returns that loss, on the device.

    loss_of: from the parts of `batch`, (n, ...) each, to losses (n,). micro_batch: samples at a time, 0 for all;
    processes exchange gradients once, at the last part. A batch that does not fit is a MemoryError.
    """
    n = len(batch[0])
    size = min(micro_batch or n, n)

    def backward(part: tuple[Tensor, ...]) -> Tensor:
        loss = loss_of(*part).mean() * (len(part[0]) / n)
        accelerator.backward(loss)
        return loss.detach()

    def trial(samples: int) -> None:
        for _ in range(2):  # the second step finds the optimiser's moments in memory, as all later ones do
            optimiser.zero_grad()
            with accelerator.no_sync(network):
                backward(tuple(tensor[:samples] for tensor in batch))
            optimiser.step()

    parts = list(zip(*(tensor.split(size) for tensor in batch), strict=True))
    with devices.naming_what_fits(trial, size, accelerator.device):
        optimiser.zero_grad()
        with nullcontext() if len(parts) == 1 else accelerator.no_sync(network):
            total = sum((backward(part) for part in parts[:-1]), torch.zeros((), device=batch[0].device))
        total = total + backward(parts[-1])
        optimiser.step()
    return total


def refuse_divergence(losses: Tensor, denoiser, checkpoint: Checkpoint | None) -> None:
    """Raise FloatingPointError at the first of all losses (steps done,), or else weights, that is not finite."""
    bad = (~losses.isfinite()).nonzero()
    largest = torch.stack([p.detach().abs().max() for p in denoiser.parameters()])
    if len(bad):
        what = f"the loss is {losses[bad[0]].item()} at step {bad[0].item()}"
    elif not largest.isfinite().all():
        what = f"a weight is not finite after step {len(losses) - 1}"
    else:
        return
    raise FloatingPointError(f"{what}; {_last_state(checkpoint)}")


def _last_state(checkpoint: Checkpoint | None) -> str:
    """The last good state as a part of a message."""
    last = checkpoint.last() if checkpoint else None
    return f"the last good state is in {last}" if last else "no state is kept"
