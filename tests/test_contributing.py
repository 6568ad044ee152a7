"""CONTRIBUTING.md, followed for a toy method and a toy measure through public names alone."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from tiwlib import batches, gaussians, plots, runs, training
from tiwlib.baselines import BASELINES
from tiwlib.closed_form import MINIMISERS, minimiser
from tiwlib.gaussians import EXACT_RATIO, SIGMA_DATA
from tiwlib.measures import samples, two_d
from tiwlib.networks import point_denoiser, seeded
from tiwlib.noise import LogNormal, expand
from tiwlib.objectives import METHODS, Method, dsm, log_weight, method
from tiwlib.plots.style import METHOD_STYLE, style_of
from tiwlib.runs import tables

TEXT = (runs.PROJECT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize(
    ("what", "count"), [("method", 3), ("measure", 2), ("data set", 3), ("baseline", 2), ("claim", 1)]
)
def test_it_names_as_many_files_as_it_says(what, count):
    (section,) = re.findall(rf"## A {what}: {count} files?\n(.*?)(?=\n## |\Z)", TEXT, re.DOTALL)
    files = re.findall(r"^\d\. `([^`]+)`", section, re.MULTILINE)
    assert len(files) == count
    for path in files:
        there = runs.PROJECT / path
        assert there.exists() or (there.stem.isupper() and there.parent.is_dir()), path


# ---------------------------------------------------------------- a method


def shy(denoiser, x0, sigma, noise, *, ratio, reference_fraction, alpha=1.0):
    """DSM with a weight that never exceeds one: a toy, whose minimiser is that of plain training."""
    x = x0 + expand(sigma, x0) * noise
    log_w = log_weight(ratio.log_ratio(x, sigma), reference_fraction).detach()
    return (alpha * log_w.clamp(max=0)).exp() * dsm(denoiser, x0, sigma, noise)


@pytest.fixture
def toy(monkeypatch):
    """The three rows."""
    about = {"label": "Shy", "objective": shy, "ratio": "time_dependent", "reference_fraction": 0.5}
    monkeypatch.setitem(METHODS, "shy", Method(**about))
    monkeypatch.setitem(MINIMISERS, "shy", MINIMISERS["dsm_obs"])
    monkeypatch.setitem(METHOD_STYLE, "shy", ("#8A8A3C", "h", "-"))
    return method("shy")


def test_a_method_is_trained_has_a_closed_form_and_a_colour(toy):
    observed = batches.Observed(*gaussians.draw_pair(2000, 500, seed=0), toy.fraction())
    denoiser = seeded(point_denoiser, 2, SIGMA_DATA, 32, seed=0)
    config = training.TrainingConfig(steps=300, batch_size=256, lr=2e-3, log_every=50)
    loss = toy.loss(EXACT_RATIO, toy.fraction())
    reports = list(training.train(denoiser, loss, observed, LogNormal.for_data(SIGMA_DATA), config, seed=0))
    assert reports[-1].loss < 0.8 * reports[0].loss

    draw = {"trained": denoiser, "closed form": minimiser("shy", EXACT_RATIO, toy.fraction())}
    with torch.no_grad():
        shares = {
            name: two_d.minority(two_d.drawn(chosen, 1000, steps=18, dtype=torch.float32))["share"]
            for name, chosen in draw.items()
        }
    assert shares["closed form"] == pytest.approx(0.35, abs=0.06), "a weight alone moves no minimiser"
    assert shares["trained"] == pytest.approx(shares["closed form"], abs=0.1)

    row = {"method": "shy", "seed": 0, "share": shares["trained"], "closed_form": shares["closed form"]}
    figure = plots.shares_by_objective(pd.DataFrame([row, row | {"method": "tiw_dsm"}]), 0.5, 0.35)
    lines = {(to_hex(line.get_color()).upper(), line.get_marker()) for line in figure.axes[0].get_lines()}
    assert {("#8A8A3C", "h"), ("#0072B2", "^")} <= lines
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["Shy", "TIW-DSM"]
    assert tables.in_order(["shy", "shy_half", "dsm_ref"]) == ["dsm_ref", "shy", "shy_half"]


# ---------------------------------------------------------------- a measure


def spread(judged) -> dict:
    """Mean distance of a sample from the mean of all: a toy."""
    x = judged.samples.float().flatten(1)
    return {"spread": float((x - x.mean(0)).norm(dim=1).mean())}


def test_a_measure_is_in_every_record_and_can_be_drawn(monkeypatch):
    monkeypatch.setattr(samples, "MEASURES", [*samples.MEASURES, spread])
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    found = samples.of_samples(x, judge=None, real=None, training=x)
    assert found["spread"] == pytest.approx(float((x - x.mean(0)).norm(dim=1).mean()))
    assert found["nearest"] == pytest.approx(0, abs=1e-3), "the others are there"

    records = [
        {
            "run": f"tiw_dsm-{seed}",
            "params": {"method": "tiw_dsm", "seed": seed, "reference_fraction": None, "alpha": 1.0},
            "metrics": {"setting": "toy", **found},
            "provenance": {"hashes": {"split": "s"}},
        }
        for seed in (0, 1)
    ]
    figure = plots.comparison(tables.table(records), {"spread": "spread of the samples"})
    assert figure.axes[0].get_xlabel() == "spread of the samples"
    (line,) = figure.axes[0].get_lines()
    assert np.allclose(line.get_xdata(), found["spread"]) and line.get_marker() == "^"


# ---------------------------------------------------------------- a baseline


def test_a_baseline_gets_a_colour_without_asking(monkeypatch):
    before = {name: style_of(name) for name in BASELINES}
    monkeypatch.setitem(BASELINES, "toy", BASELINES["adp"])
    assert {name: style_of(name) for name in before} == before, "those of the others stay"
    assert style_of("toy") not in before.values()
