"""The training loop: one generator for every method, network and data set, stoppable between any two steps."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm.auto import tqdm

from tiwlib import checkpoints, devices
from tiwlib.batches import draw, seed_step
from tiwlib.objectives import Method


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. All are counted in steps but batch_size (samples of all processes together).

    warmup: the learning rate grows to lr over so many steps. ema_half_life: after so many a weight's trace in
    the moving average has halved. flip: mirror half of the images. precision: "fp32", or "bf16" for matrix
    products and convolutions in bfloat16. micro_batch: samples that a process takes at once, the gradient of the
    batch is gathered in such parts; 0 takes all. log_every: between reports, where losses are looked at and the
    state is saved, if checkpoint_minutes have passed. A value that makes no sense is a ValueError that names it.
    """

    steps: int
    batch_size: int = 128
    lr: float = 1e-3
    warmup: int = 50
    ema_half_life: float = 50.0
    flip: bool = False
    precision: str = "fp32"
    micro_batch: int = 0
    log_every: int = 25
    checkpoint_minutes: float = 5.0

    HOW = ("micro_batch", "log_every", "checkpoint_minutes")  # may change when a run is taken up again

    def __post_init__(self):
        for name in ("steps", "batch_size", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        for name in ("lr", "ema_half_life"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive")
        for name in ("warmup", "micro_batch", "checkpoint_minutes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be negative")
        if self.precision not in devices.PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: must be one of {', '.join(devices.PRECISIONS)}")


@dataclass(frozen=True)
class Progress:
    """What the loop yields at every report: the step it has reached and the losses since the report before."""

    step: int
    losses: Tensor  # (steps since the last report,), mean loss of each batch

    @property
    def loss(self) -> float:
        return self.losses.mean().item()


def train(
    denoiser,
    method: Method,
    observed,
    law,
    schedule: Schedule,
    *,
    ratio=None,
    alpha: float = 1.0,
    seed: int = 0,
    checkpoint: Path | None = None,
    identity: dict | None = None,
    accelerator: Accelerator | None = None,
) -> Iterator[Progress]:
    """Train in place, yielding a Progress every `log_every` steps; afterwards the denoiser holds its EMA.

    observed: anything with batch(n) and reference_fraction. ratio: anything with log_ratio(x, sigma), on the
    device of the training; None for methods without one. alpha: power of the weight, 1 for methods without one.

    Step k draws its batch, noise and dropout from torch's global generators, seeded by (seed, k, process), so a
    resumed run needs no random state and equals the uninterrupted one bit for bit on the CPU. checkpoint: a
    folder that states are written to and taken up from, their reports yielded again; one of another
    configuration is a ValueError. identity: what else tells this run from others, as the hashes of its images
    and ratio. accelerator: from devices.accelerator; None is this process on the CPU. SIGTERM saves the state and
    raises devices.Stopped. A loss that is not finite raises FloatingPointError, naming the step; a batch that does
    not fit into memory is a MemoryError that names what fits. The last good state stays.

    Under torchrun every process calls this alike: each takes its part of a batch, the first one alone writes.
    """
    accelerator = accelerator or devices.accelerator("cpu")
    device, alone = accelerator.device, accelerator.num_processes == 1
    per_process, rest = divmod(schedule.batch_size, accelerator.num_processes)
    if rest:
        raise ValueError(
            f"batch_size={schedule.batch_size}: not a multiple of {accelerator.num_processes} processes"
        )
    config = {key: value for key, value in asdict(schedule).items() if key not in Schedule.HOW}
    config |= {"method": asdict(method), "alpha": alpha, "seed": seed, "law": repr(law)}
    config |= {"identity": identity, "pi": observed.reference_fraction}
    config |= {"weights": [list(p.shape) for p in denoiser.parameters()]}

    layout = devices.memory_format(device, schedule.precision)
    denoiser.to(device, memory_format=layout)
    fast = {"fused": True} if device.type == "cuda" else {}
    trained = [p for p in denoiser.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=schedule.lr, **fast)
    decay = 0.5 ** (1 / schedule.ema_half_life)
    ema = EMAModel(denoiser.parameters(), decay=decay, foreach=device.type == "cuda")
    state, processes = (denoiser, ema, optimiser), accelerator.num_processes
    losses = torch.zeros(0)
    if checkpoint:
        losses, before = checkpoints.load(checkpoint, config, *state)
        if before != processes and 0 < len(losses) < schedule.steps:
            warnings.warn(
                f"checkpoint={checkpoint}: made by {before} processes, taken up by {processes}: from here on the "
                "batches are others, so the run is the same statistically only",
                stacklevel=2,
            )
    yield from reports(losses, schedule)
    network = accelerator.prepare(denoiser)
    # the objectives read sigma_data, and a wrapper for several processes hides it
    network.sigma_data = denoiser.sigma_data
    network.train()

    def loss_of(x0, sigma, noise, *labels) -> Tensor:
        extra = {"labels": labels[0]} if labels else {}
        with devices.autocast(device, schedule.precision):
            return method.loss(network, x0, sigma, noise, ratio, observed.reference_fraction, alpha, **extra)

    done, pending, saved_at = len(losses), [], time.monotonic()
    bar = tqdm(
        range(done, schedule.steps), f"training {method.label}", schedule.steps, initial=done, unit="step",
        leave=False, **({} if accelerator.is_main_process else {"disable": True}),
    )  # fmt: skip
    with devices.Stop() as stop:
        for step in bar:
            seed_step(seed, step, accelerator.process_index)
            drawn = draw(observed, per_process, law, device, schedule.flip)
            for group in optimiser.param_groups:
                group["lr"] = schedule.lr * min(1, (step + 1) / max(1, schedule.warmup))
            pending.append(learn(accelerator, network, optimiser, loss_of, drawn, schedule.micro_batch))
            ema.step(denoiser.parameters())
            done = step + 1
            ends, asked = done == schedule.steps, stop.asked and alone
            if not (ends or asked or done % schedule.log_every == 0):
                continue
            # the only place that waits for the device, and where the processes agree
            losses = torch.cat([losses, accelerator.reduce(torch.stack(pending), "mean").cpu()])
            asked = bool(accelerator.reduce(torch.tensor(float(stop.asked), device=device), "sum"))
            pending = []
            refuse_divergence(losses, denoiser, checkpoint)
            due = time.monotonic() - saved_at >= 60 * schedule.checkpoint_minutes
            if checkpoint and (ends or asked or due):
                if accelerator.is_main_process:
                    checkpoints.save(checkpoint, config, losses, processes, *state)
                saved_at = time.monotonic()
            if asked:
                kept = (
                    f"the state is in {checkpoint}" if checkpoint else "there is no checkpoint to keep it in"
                )
                raise devices.Stopped(f"told to end at step {done}; {kept}")
            report = reports(losses, schedule)[-1]
            bar.set_postfix(loss=f"{report.loss:.4f}")
            yield report
    ema.copy_to(denoiser.parameters())
    denoiser.eval()


def reports(losses: Tensor, schedule: Schedule) -> list[Progress]:
    """The reports that a run with these losses (steps done,) has yielded so far."""
    at = list(range(0, len(losses) + 1, schedule.log_every))
    if len(losses) == schedule.steps and at[-1] != len(losses):
        at.append(len(losses))
    return [Progress(end, losses[start:end]) for start, end in zip(at[:-1], at[1:], strict=True)]


def learn(
    accelerator: Accelerator,
    network,
    optimiser,
    loss_of: Callable,
    drawn: tuple[Tensor, ...],
    micro_batch: int,
) -> Tensor:
    """One step of the optimiser along the gradient of the batch's mean loss; returns that loss, on the device.

    loss_of: from the parts of `drawn`, (n, ...) each, to losses (n,). micro_batch: samples at a time, 0 for all;
    processes exchange gradients once, at the last part. A batch that does not fit is a MemoryError.
    """
    n = len(drawn[0])
    size = min(micro_batch or n, n)

    def backward(part: tuple[Tensor, ...]) -> Tensor:
        loss = loss_of(*part).mean() * (len(part[0]) / n)
        accelerator.backward(loss)
        return loss.detach()

    def trial(samples: int) -> None:
        for _ in range(2):  # the second step finds the optimiser's moments in memory, as all later ones do
            optimiser.zero_grad()
            with accelerator.no_sync(network):
                backward(tuple(tensor[:samples] for tensor in drawn))
            optimiser.step()

    parts = list(zip(*(tensor.split(size) for tensor in drawn), strict=True))
    with devices.naming_what_fits(trial, size, accelerator.device):
        optimiser.zero_grad()
        with nullcontext() if len(parts) == 1 else accelerator.no_sync(network):
            total = sum((backward(part) for part in parts[:-1]), torch.zeros((), device=drawn[0].device))
        total = total + backward(parts[-1])
        optimiser.step()
    return total


def refuse_divergence(losses: Tensor, denoiser, checkpoint: Path | None) -> None:
    """Raise FloatingPointError at the first loss, or else weight, that is not finite, before it is saved.

    losses: (steps done,), one a step.
    """
    kept = checkpoints.states(checkpoint) if checkpoint else []
    where = f"; the last good state is in {kept[-1]}" if kept else ""
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        step = int(bad[0])
        raise FloatingPointError(f"the loss is {losses[step].item()} at step {step}{where}")
    if not torch.stack([p.detach().abs().max() for p in denoiser.parameters()]).isfinite().all():
        raise FloatingPointError(f"a weight is not finite after step {len(losses) - 1}{where}")
