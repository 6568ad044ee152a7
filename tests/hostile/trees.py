"""The same questions to two trees: this one, and the commit before its defences, where modules had other names."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

TINY = {"ratio_steps": 1, "steps": 2, "batch_size": 4, "width": 8, "device": "cpu", "n_samples": 92}


class Tree:
    """This tree. Its modules are loaded once, before the cases are forked off."""

    train, ratio_notebook, baselines = "05_train", "03_ratio_accuracy", "07_baselines"
    objectives = "02_what_each_objective_learns"
    data = "tiwlib.data"

    def __init__(self, folder: Path):
        self.folder, self.loaded = folder, {}
        for name in (*self.modules(), "tiwlib.runs", "tiwlib.devices", "tiwlib.training", "tiwlib.plots"):
            self.loaded[name] = importlib.import_module(name)

    def modules(self) -> tuple[str, ...]:
        from_data = ("bias", "archive", "decode")
        return (
            *(f"{self.data}.{name}" for name in from_data),
            *("tiwlib.runs.experiment", "tiwlib.runs.processes", "tiwlib.runs.states", "tiwlib.runs.tables"),
            *("workflow.plan", "workflow.gpus", "ledger.baseline_tables", "tiwlib.measures.classifier"),
            *("tiwlib.estimators.frozen", "tiwlib.noise", "tiwlib.networks", "tiwlib.objectives"),
        )

    def __getattr__(self, name: str) -> ModuleType:
        """A module by the last part of its name."""
        return next(module for full, module in self.loaded.items() if full.rpartition(".")[2] == name)

    def params(self, notebook: str = "", **given) -> dict:
        """The parameters of a notebook, checked as its first cell does."""
        notebook = notebook or self.train
        return self.runs.parameters(notebook, self.runs.defaults(notebook) | given)

    def prepared(self, **given):
        """The experiment of the training notebook: all that is checked before anything is fitted."""
        return self.experiment.from_parameters(
            self.params(**TINY | {"root": str(Path.cwd() / "data")} | given)
        )

    def ratio(self, experiment):
        return experiment.ratio()

    def setting(self, path: Path):
        return self.bias.load(str(path), "data")

    def source(self, name: str, path: Path):
        return importlib.import_module(self.data).load(name, "data", path)

    def two_d_training(self, folder: Path, before_each_step: Callable[[], None]):
        """DSM on points, which calls a function in each of its steps; states go to the folder."""
        import torch

        def loss(denoiser, x0, sigma, noise):
            before_each_step()
            return self.loaded["tiwlib.objectives"].dsm(denoiser, x0, sigma, noise)

        x = torch.randn(64, 2)
        data = importlib.import_module("tiwlib.batches").Observed(x, x, 0.5)
        config = self.training.TrainingConfig(steps=1000, batch_size=8, checkpoint_minutes=60)
        denoiser, levels = self.networks.point_denoiser(2, 1.0, 8), self.noise.LogNormal()
        return self.training.train(
            denoiser, loss, data, levels, config, checkpoint=self.states.Checkpoint(folder)
        )

    def saved_state(self, folder: Path) -> tuple[Path, Callable[[], object]]:
        """A state on disk, and what reads it."""
        network, ema, optimiser = network_with_moments(self)
        checkpoint = self.states.Checkpoint(folder)
        path = checkpoint.save({}, *first_losses(), network, ema, optimiser)
        return path, lambda: checkpoint.load({}, network, ema, optimiser)

    def fitted_classifier(self, folder: Path):
        data = importlib.import_module(self.data).load("digits", "data")
        return self.classifier.fit_once(data, folder=folder)

    def two_processes(self, parameters: Path) -> None:
        """The command of torchrun, as the only process."""
        self.processes.main.__wrapped__(parameters)

    def table_of_baselines(self) -> str:
        return self.loaded["ledger.baseline_tables"].baselines()

    def comparable(self, records: list[dict]) -> None:
        self.loaded["tiwlib.runs.tables"].comparable(records)

    def frozen_ratio(self, path: Path):
        return self.frozen.frozen_ratio(path)

    def first_cells(self, notebook: str, **given) -> None:
        """A notebook's cells down to the one below its parameters, which are given: what is refused is refused here."""
        source = (self.folder / "notebooks" / f"{notebook}.py").read_text()
        space = {"__name__": "__main__"}
        for cell in source.split("\n# %%")[1:]:
            head, _, body = cell.partition("\n")
            if "[markdown]" not in head:
                exec(body, space)
                if "params" in space:
                    return
            if "parameters" in head:
                space |= given


class Before(Tree):
    """The commit fdeabdb."""

    train, baselines, objectives = "04_train", "08_siblings", "06_what_each_objective_learns"
    data = "tiwlib.datasets"

    def modules(self) -> tuple[str, ...]:
        flat = (
            "bias",
            "settings",
            "experiment",
            "checkpoints",
            "records",
            "plan",
            "gpus",
            "report",
            "classifier",
        )
        flat += ("features", "noise", "networks", "objectives")
        from_data = ("archive", "decode")
        return (*(f"{self.data}.{name}" for name in from_data), *(f"tiwlib.{name}" for name in flat))

    def prepared(self, **given):
        return self.experiment.Experiment(self.params(**TINY | {"root": str(Path.cwd() / "data")} | given))

    def ratio(self, experiment):
        return experiment.fit_ratio()

    def two_d_training(self, folder: Path, before_each_step: Callable[[], None]):
        import torch

        batches = importlib.import_module("tiwlib.batches")

        class Slow(batches.Observed):
            def batch(self, n):
                before_each_step()
                return super().batch(n)

        x = torch.randn(64, 2)
        schedule = self.training.Schedule(steps=1000, batch_size=8, checkpoint_minutes=60)
        denoiser, levels = self.networks.point_denoiser(2, 1.0, 8), self.noise.LogNormal()
        method = self.loaded["tiwlib.objectives"].method("dsm_obs")
        return self.training.train(denoiser, method, Slow(x, x, 0.5), levels, schedule, checkpoint=folder)

    def saved_state(self, folder: Path) -> tuple[Path, Callable[[], object]]:
        network, ema, optimiser = network_with_moments(self)
        path = self.checkpoints.save(folder, {}, *first_losses(), network, ema, optimiser)
        return path, lambda: self.checkpoints.load(folder, {}, network, ema, optimiser)

    def fitted_classifier(self, folder: Path):
        return self.classifier.fit_once(importlib.import_module(self.data).load("digits", "data"), folder)

    def two_processes(self, parameters: Path) -> None:
        self.experiment.main.__wrapped__(parameters)

    def table_of_baselines(self) -> str:
        return self.report.siblings()

    def comparable(self, records: list[dict]) -> None:
        self.records.comparable(records)

    def frozen_ratio(self, path: Path):
        return self.features.frozen_ratio(path)


def network_with_moments(tree: Tree) -> tuple:
    """A denoiser, its moving average and its optimiser after one step."""
    import torch
    from diffusers.training_utils import EMAModel

    network = tree.networks.point_denoiser(2, 1.0, 8)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.randn(4, 2), torch.ones(4)).sum().backward()
    optimiser.step()
    return network, EMAModel(network.parameters(), decay=0.9), optimiser


def first_losses() -> tuple:
    """The losses of one step, and the number of processes."""
    import torch

    return torch.ones(1), 1
