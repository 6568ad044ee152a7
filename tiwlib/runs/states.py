"""The state of a training run on disk: safetensors without pickle, written atomically, the last two kept."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from tiwlib.runs.cache import digest, read_tensors, write_tensors

KEPT = 2
KNOWN = {"config", "processes", "ema_step"}  # what a state says of itself


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
        known = {"config": digest(config), "processes": processes, "ema_step": ema.optimization_step}
        path = self.folder / f"step-{len(losses):09d}.safetensors"
        write_tensors(path, _tensors(network, ema, optimiser) | {"losses": losses}, known)
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
                saved, known = read_tensors(path, KNOWN)
            except ValueError as error:
                errors.append(f"{path.name}: {error}")
                continue
            if known["config"] != digest(config):
                raise ValueError(
                    f"checkpoint={self.folder}: belongs to another configuration; delete it to start over"
                )
            _begin(optimiser, saved)
            state = _tensors(network, ema, optimiser)
            if damaged := first_unusable(saved, state):
                errors.append(f"{path.name}: {damaged} is missing, of another shape, or not finite")
                continue
            if errors:
                warnings.warn(
                    f"checkpoint={self.folder}: {path.name} is taken, for {errors[0]}", stacklevel=2
                )
            with torch.no_grad():
                for name, value in state.items():
                    value.copy_(saved[name])
            ema.optimization_step = known["ema_step"]
            return saved["losses"], known["processes"]
        if errors:
            raise ValueError(
                f"checkpoint={self.folder}: cannot be read ({'; '.join(errors)}); delete it to start over"
            )
        return torch.zeros(0), 1


def _begin(optimiser: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    """Give the weights that have moments in a state moments of their own, as a step along no gradient does."""
    for i, p in enumerate(optimiser.param_groups[0]["params"]):
        if any(name.startswith(f"optimiser.{i}.") for name in saved):
            p.grad = torch.zeros_like(p)
    optimiser.step()
    optimiser.zero_grad()


def first_unusable(saved: dict[str, Tensor], weights: dict[str, Tensor]) -> str | None:
    """The first of `weights`, if any, that is missing in `saved`, there of another shape, or not finite."""
    for name, value in weights.items():
        # a smaller shape would be broadcast
        if name not in saved or saved[name].shape != value.shape or not saved[name].isfinite().all():
            return name
    return None
