"""The training loop: one generator for every method, network and data set, stoppable between any two steps."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from tiwlib.objectives import Method
from tiwlib.runs import digest


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. All are counted in steps but batch_size (samples of all processes together).

    warmup: the learning rate grows to lr over so many steps. ema_half_life: after so many a weight's trace in
    the moving average has halved. flip: mirror half of the images. log_every: between reports, where losses are
    looked at. A value that makes no sense is a ValueError that names it.
    """

    steps: int
    batch_size: int = 128
    lr: float = 1e-3
    warmup: int = 50
    ema_half_life: float = 50.0
    flip: bool = False
    log_every: int = 25
    checkpoint_every: int = 200

    def __post_init__(self):
        for name in ("steps", "batch_size", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.lr <= 0:
            raise ValueError(f"lr={self.lr}: must be positive")
        if self.ema_half_life <= 0:
            raise ValueError(f"ema_half_life={self.ema_half_life}: must be positive")


@dataclass(frozen=True)
class Progress:
    """What the loop yields at every report: the step it has reached and the losses since the report before."""

    step: int
    losses: Tensor  # (steps since the last report,), mean loss of each batch

    @property
    def loss(self) -> float:
        return self.losses.mean().item()


class Observed:
    """D_obs = D_bias u D_ref, drawn with a share pi of reference samples.

    biased, reference: datasets indexable by an index tensor, (N, ...) each; either may be empty only where pi
    never asks for it. reference_fraction: pi in [0, 1], or None for the share that the reference set has.
    """

    def __init__(self, biased, reference, reference_fraction: float | None = None):
        if len(reference) == 0:
            raise ValueError("the reference set is empty: every method needs at least one reference sample")
        if reference_fraction is None:
            reference_fraction = len(reference) / (len(biased) + len(reference))
        if not 0 <= reference_fraction <= 1:
            raise ValueError(f"reference_fraction={reference_fraction}: must lie in [0, 1]")
        if len(biased) == 0 and reference_fraction < 1:
            raise ValueError(
                f"the biased set is empty: reference_fraction={reference_fraction} must be 1 then"
            )
        self.biased, self.reference, self.reference_fraction = biased, reference, reference_fraction

    def batch(self, n: int) -> Tensor:
        """n samples, each a reference one with probability pi, by torch's global generator: (n, ...)."""
        from_reference = torch.rand(n) < self.reference_fraction  # (n,)
        n_ref = int(from_reference.sum())
        parts = [
            dataset[torch.randint(len(dataset), (count,))]
            for dataset, count in ((self.biased, n - n_ref), (self.reference, n_ref))
            if count
        ]
        return torch.cat(parts)


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed torch's global generators for one step of one process.

    torch's CPU generator keeps 32 bits of a seed, so the three numbers are mixed down to as many: in a run of
    40,000 steps some two may meet by chance. (torch.manual_seed does the same and takes a millisecond for it.)
    """
    mixed = int(np.random.SeedSequence([seed, step, process]).generate_state(1)[0])
    torch.default_generator.manual_seed(mixed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(mixed)


def device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return Accelerator().device


def flip_half(x0: Tensor) -> Tensor:
    """Mirror each image (B, C, H, W) left to right with probability one half."""
    mirrored = (torch.rand(len(x0)) < 0.5).to(x0.device)[:, None, None, None]
    return torch.where(mirrored, x0.flip(-1), x0)


def train(
    denoiser,
    method: Method,
    observed: Observed,
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

    ratio: anything with log_ratio(x, sigma), on the device of the training; None for methods without one. Seeds
    torch's global generators. alpha: power of the weight, 1 for methods without one.

    Step k draws its batch, noise and dropout from a generator seeded by (seed, k, process), so a resumed run
    needs no random state and equals the uninterrupted one bit for bit on the CPU. checkpoint: a file that is
    written every `checkpoint_every` steps and resumed from where it exists, its reports yielded again; one of
    another configuration is a ValueError. identity: what else tells this run from others, as the hashes of its
    images and ratio. A loss that is not finite raises FloatingPointError, naming the step; the last good
    checkpoint stays.
    """
    accelerator = accelerator or Accelerator()
    per_process, rest = divmod(schedule.batch_size, accelerator.num_processes)
    if rest:
        raise ValueError(
            f"batch_size={schedule.batch_size}: not a multiple of {accelerator.num_processes} processes"
        )
    config = {**asdict(schedule), "method": asdict(method), "alpha": alpha, "seed": seed, "law": repr(law)}
    config |= {"identity": identity, "pi": observed.reference_fraction}
    config |= {"weights": [list(p.shape) for p in denoiser.parameters()]}
    optimiser = torch.optim.Adam([p for p in denoiser.parameters() if p.requires_grad], lr=schedule.lr)
    denoiser.to(accelerator.device)
    ema = EMAModel(denoiser.parameters(), decay=0.5 ** (1 / schedule.ema_half_life))
    done, reports = load_checkpoint(checkpoint, config, denoiser, ema, optimiser) if checkpoint else (0, [])
    yield from reports
    ema.to(accelerator.device)
    network, optimiser = accelerator.prepare(denoiser, optimiser)
    network.sigma_data = (
        denoiser.sigma_data
    )  # the objectives read it; a wrapper for several processes hides it
    network.train()
    losses = []
    bar = tqdm(
        range(done, schedule.steps), f"training {method.label}", schedule.steps, initial=done, unit="step",
        leave=False, **({} if accelerator.is_main_process else {"disable": True}),
    )  # fmt: skip
    for step in bar:
        seed_step(seed, step, accelerator.process_index)
        drawn = observed.batch(per_process)
        x0, labels = drawn if isinstance(drawn, tuple) else (drawn, None)
        x0 = x0.to(accelerator.device)
        extra = {} if labels is None else {"labels": labels.to(accelerator.device)}
        x0 = flip_half(x0) if schedule.flip else x0
        sigma, noise = law.sample(len(x0), x0.device), torch.randn_like(x0)
        loss = method.loss(
            network, x0, sigma, noise, ratio, observed.reference_fraction, alpha, **extra
        ).mean()
        for group in optimiser.param_groups:
            group["lr"] = schedule.lr * min(1, (step + 1) / max(1, schedule.warmup))
        optimiser.zero_grad()
        accelerator.backward(loss)
        optimiser.step()
        ema.step(denoiser.parameters())
        losses.append(loss.detach())
        done = step + 1
        ends = done == schedule.steps
        saves = checkpoint and (ends or done % schedule.checkpoint_every == 0)
        if ends or saves or done % schedule.log_every == 0:  # the only place that waits for the device
            report = Progress(done, torch.stack(losses).cpu())
            losses = []
            reports.append(report)
            refuse_divergence(report, denoiser, checkpoint)
            bar.set_postfix(loss=f"{report.loss:.4f}")
            if saves and accelerator.is_main_process:
                save_checkpoint(checkpoint, config, reports, denoiser, ema, optimiser)
            yield report
    ema.copy_to(denoiser.parameters())
    denoiser.eval()


def refuse_divergence(report: Progress, denoiser, checkpoint: Path | None) -> None:
    """Raise FloatingPointError at the first loss, or else weight, that is not finite, before it is saved."""
    kept = f"; the last good state is in {checkpoint}" if checkpoint and checkpoint.exists() else ""
    bad = (~report.losses.isfinite()).nonzero()
    if len(bad):
        step = report.step - len(report.losses) + int(bad[0])
        raise FloatingPointError(f"the loss is {report.losses[bad[0]].item()} at step {step}{kept}")
    if not all(p.isfinite().all() for p in denoiser.parameters()):
        raise FloatingPointError(f"a weight is not finite after step {report.step - 1}{kept}")


def save_checkpoint(
    path: Path, config: dict, reports: list[Progress], denoiser, ema: EMAModel, optimiser
) -> None:
    """Write the whole state of training to one file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "config": digest(config),
        "reports": [(report.step, report.losses) for report in reports],
        "denoiser": denoiser.state_dict(),
        "ema": ema.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_checkpoint(
    path: Path, config: dict, denoiser, ema: EMAModel, optimiser
) -> tuple[int, list[Progress]]:
    """Restore the state at `path` in place; returns its step and its reports, (0, []) where there is no such file."""
    if not path.exists():
        return 0, []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file cut short
        raise ValueError(f"checkpoint={path}: cannot be read ({error}); delete it to start over") from error
    if state["config"] != digest(config):
        raise ValueError(f"checkpoint={path}: belongs to another configuration; delete it to start over")
    denoiser.load_state_dict(state["denoiser"])
    ema.load_state_dict(state["ema"])
    optimiser.load_state_dict(state["optimiser"])
    reports = [Progress(step, losses) for step, losses in state["reports"]]
    return reports[-1].step, reports


def save_weights(network: torch.nn.Module, path: Path) -> Path:
    """Write a network's weights as safetensors, atomically; returns the path."""
    partial = path.with_name(path.name + ".partial")
    save_file({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, partial)
    partial.replace(path)
    return path
