"""The state of a training run on disk: safetensors without pickle, written atomically, the last two kept."""

import json
import os
import shutil
import warnings
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tiwlib.runs import digest

KEPT = 2


def _tensors(network: nn.Module, ema: EMAModel, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that a step changes, by name; these tensors *are* the state, so copying into them restores it."""
    found = {f"network.{name}": value for name, value in network.state_dict().items()}
    found |= {f"ema.{i}": value for i, value in enumerate(ema.shadow_params)}
    for i, p in enumerate(optimiser.param_groups[0]["params"]):
        found |= {f"optimiser.{i}.{name}": value for name, value in optimiser.state[p].items()}
    return found


def save(
    folder: Path, config: dict, losses: Tensor, processes: int, network, ema: EMAModel, optimiser
) -> Path:
    """Write folder/step-<steps done>.safetensors and drop all but the last two; returns the path.

    losses: (steps done,), one a step so far. config: what tells this run from others, JSON-serialisable. A disk
    that takes no more is an OSError that names the folder; what was there before stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu() for name, value in _tensors(network, ema, optimiser).items()}
    known = {"config": digest(config), "processes": processes, "ema_step": ema.optimization_step}
    path = folder / f"step-{len(losses):09d}.safetensors"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        # clones: a saved tensor must not share memory with another
        tensors = {
            name: value.clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
        }
        save_file({**tensors, "losses": losses.cpu()}, partial, {k: json.dumps(v) for k, v in known.items()})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free / 2**20
        raise OSError(
            f"checkpoint={folder}: cannot be written ({error}; {free:,.0f} MB free); the states before it stay"
        ) from error
    for old in states(folder)[:-KEPT]:
        old.unlink()
    return path


def states(folder: Path) -> list[Path]:
    """The states in a folder, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def load(folder: Path, config: dict, network, ema: EMAModel, optimiser) -> tuple[Tensor, int]:
    """Restore the newest readable state in place; returns the losses so far and the number of processes it is of.

    Where there is no state, the losses are (0,). A state of another configuration is a ValueError, and so are
    states of which none can be read. One that is cut short gives way to the one before it, with a warning.
    """
    errors = []
    for path in reversed(states(folder)):
        try:
            with safe_open(path, framework="pt") as file:
                known = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
                saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if known.keys() != {"config", "processes", "ema_step"}:
                raise OSError("not a state of a training run")
        except (SafetensorError, OSError) as error:
            errors.append(f"{path.name}: {error}")
            continue
        if known["config"] != digest(config):
            raise ValueError(
                f"checkpoint={folder}: belongs to another configuration; delete it to start over"
            )
        if errors:
            warnings.warn(f"checkpoint={folder}: {path.name} is taken, for {errors[0]}", stacklevel=2)
        _restore(saved, network, ema, optimiser)
        ema.optimization_step = known["ema_step"]
        return saved["losses"], known["processes"]
    if errors:
        raise ValueError(
            f"checkpoint={folder}: cannot be read ({'; '.join(errors)}); delete it to start over"
        )
    return torch.zeros(0), 1


@torch.no_grad()
def _restore(saved: dict[str, Tensor], network, ema: EMAModel, optimiser) -> None:
    fused = optimiser.param_groups[0].get("fused")  # then the count of steps lives on the device too
    for i, p in enumerate(optimiser.param_groups[0]["params"]):
        prefix = f"optimiser.{i}."
        state = {n.removeprefix(prefix): v for n, v in saved.items() if n.startswith(prefix)}
        # moments lie in memory as their weight does (channels last, say): a fused optimiser refuses others
        moments = {n: torch.empty_like(p).copy_(v) for n, v in state.items() if n != "step"}
        step = {"step": state["step"].to(p.device) if fused else state["step"]} if state else {}
        optimiser.state[p] = moments | step
    for name, value in _tensors(network, ema, optimiser).items():
        value.copy_(saved[name])
