"""The state of a training run on disk: safetensors without pickle, written atomically, the last two kept."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tiwlib.runs.cache import digest, whole

KEPT = 2


def _tensors(network: nn.Module, ema: EMAModel, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that a step changes, by name; these tensors *are* the state, so copying into them restores it."""
    found = {f"network.{name}": value for name, value in network.state_dict().items()}
    found |= {f"ema.{i}": value for i, value in enumerate(ema.shadow_params)}
    for i, p in enumerate(optimiser.param_groups[0]["params"]):
        found |= {f"optimiser.{i}.{name}": value for name, value in optimiser.state[p].items()}
    return found


@dataclass(frozen=True)
class Checkpoint:
    """The states of one training run in a folder: step-<steps done>.safetensors, the last two.

    config, in what follows: what tells this run from others, JSON-serialisable.
    """

    folder: Path

    def states(self) -> list[Path]:
        """The states, oldest first."""
        return sorted(self.folder.glob("step-*.safetensors"))

    def last(self) -> str | None:
        """The newest state's path, for a message."""
        return str(self.states()[-1]) if self.states() else None

    def save(
        self, config: dict, losses: Tensor, processes: int, network: nn.Module, ema: EMAModel, optimiser
    ) -> Path:
        """Write a state and drop all but the last two; returns its path.

        losses: (steps done,), one a step so far. A disk that takes no more is an OSError that names the path; what
        was there before stays.
        """
        # clones: a saved tensor must not share memory with another
        tensors = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in _tensors(network, ema, optimiser).items()
        }
        known = {"config": digest(config), "processes": processes, "ema_step": ema.optimization_step}
        path = self.folder / f"step-{len(losses):09d}.safetensors"
        with whole(path) as partial:
            about = {key: json.dumps(value) for key, value in known.items()}
            save_file({**tensors, "losses": losses.cpu()}, partial, about)
        for old in self.states()[:-KEPT]:
            old.unlink()
        return path

    def load(self, config: dict, network: nn.Module, ema: EMAModel, optimiser) -> tuple[Tensor, int]:
        """Restore the newest readable state in place; returns the losses so far and its number of processes.

        Where there is no state, the losses are (0,). A state of another configuration is a ValueError, and so are
        states of which none can be read. One that is damaged gives way to the one before it, with a warning.
        """
        errors = []
        for path in reversed(self.states()):
            try:
                known, saved = _read(path)
            except (SafetensorError, OSError, ValueError) as error:
                errors.append(f"{path.name}: {error}")
                continue
            if known["config"] != digest(config):
                raise ValueError(
                    f"checkpoint={self.folder}: belongs to another configuration; delete it to start over"
                )
            if damaged := first_unusable(saved, _alike(saved, network, ema, optimiser)):
                errors.append(f"{path.name}: {damaged} is missing, of another shape, or not finite")
                continue
            if errors:
                warnings.warn(
                    f"checkpoint={self.folder}: {path.name} is taken, for {errors[0]}", stacklevel=2
                )
            _restore(saved, network, ema, optimiser)
            ema.optimization_step = known["ema_step"]
            return saved["losses"], known["processes"]
        if errors:
            raise ValueError(
                f"checkpoint={self.folder}: cannot be read ({'; '.join(errors)}); delete it to start over"
            )
        return torch.zeros(0), 1


def _read(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """What a state says about itself, and its tensors."""
    with safe_open(path, framework="pt") as file:
        known = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
        saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if known.keys() != {"config", "processes", "ema_step"}:
        raise OSError("not a state of a training run")
    return known, saved


def _alike(saved: dict[str, Tensor], network, ema: EMAModel, optimiser) -> dict[str, Tensor]:
    """A tensor of the right shape for each in a state; a moment's is that of its weight."""
    found = _tensors(network, ema, optimiser)
    kinds = {name.rpartition(".")[2] for name in saved if name.startswith("optimiser.")}
    for i, p in enumerate(optimiser.param_groups[0]["params"]):
        if any(name.startswith(f"optimiser.{i}.") for name in saved):
            found |= {f"optimiser.{i}.{kind}": p.new_zeros(()) if kind == "step" else p for kind in kinds}
    return found


def first_unusable(saved: dict[str, Tensor], weights: dict[str, Tensor]) -> str | None:
    """The first of `weights`, if any, that is missing in `saved`, there of another shape, or not finite."""
    for name, value in weights.items():
        # a smaller shape would be broadcast
        if name not in saved or saved[name].shape != value.shape or not saved[name].isfinite().all():
            return name
    return None


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
