"""Which group is harder for a model: the denoising loss of the rare and the common group, with and without InvDiff.

    python benchmarks/invdiff_losses.py

For each problem and seed the base model of notebook 07, DSM on the biased set alone, and InvDiff's module on top of
it with inferred and with true groups; each with its losses on the samples it was trained on, and on held-out samples
of the same groups. Where a network memorises a group, the first is far below the second.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import machine
import numpy as np
import torch
import yaml

from tiwlib import baselines, runs
from tiwlib.baselines.classifiers import groups_of
from tiwlib.baselines.compared import from_parameters
from tiwlib.baselines.invdiff import group_losses
from tiwlib.data.problems import Problem
from tiwlib.runs import write_json

PROBLEMS = ("0v1", "low-high")  # their second group is the rare one
DRAWS = 200  # noise levels for each sample


def budget_of(problem: str, **others) -> baselines.Budget:
    """The budget that notebook 07 gives this problem. others: fields that differ."""
    params = runs.defaults("07_baselines")
    params |= yaml.safe_load((runs.PROJECT / "notebooks" / "params" / f"07_{problem}.yaml").read_text())
    return replace(from_parameters(params).budget, **others)


def losses(network, problem: Problem, draws: int, seed: int) -> dict[str, dict]:
    """{"training" | "held_out": {"common", "rare"}} of a network on a problem of two groups."""
    named = torch.from_numpy(np.asarray(groups_of(problem.judge, problem.heldout)))
    sets = {"training": (problem.biased, problem.labels), "held_out": (problem.heldout, named)}
    return {
        name: dict(
            zip(
                ("common", "rare"),
                group_losses(network, *pair, problem.noise_distribution, draws=draws, seed=seed).tolist(),
                strict=True,
            )
        )
        for name, pair in sets.items()
    }


def measured(name: str, seed: int, budget: baselines.Budget, draws: int = DRAWS) -> list[dict]:
    """Rows {"problem", "seed", "model", "training", "held_out"}: of the base model and of both modules."""
    problem, rows = baselines.problem(name, seed), []
    base = baselines.trained_once(problem, "dsm_bias", budget, seed)[0]
    models = {"dsm_bias": base}
    for method in ("invdiff", "invdiff_oracle"):
        baseline = baselines.baseline(method)
        baseline.fit(problem, base, budget, seed)
        models[method] = baseline.denoiser()
    for model, network in models.items():
        rows.append({"problem": name, "seed": seed, "model": model, **losses(network, problem, draws, seed)})
    return rows


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the record")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    cpu = torch.device("cpu")
    record = {"machine": machine.machine(cpu), "chip": machine.chip(cpu), **machine.provenance()}
    record |= {"draws": DRAWS, "rows": []}
    for seed in range(options.seeds):
        for name in PROBLEMS:
            record["rows"] += measured(name, seed, budget_of(name))
            print(*record["rows"][-3:], sep="\n", flush=True)
        write_json(options.out / f"{record['machine']}-invdiff-losses.json", record)
    return record


if __name__ == "__main__":
    main()
