"""The comparison of methods that need different things."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from tiwlib.gaussians import minority_share
from tiwlib.measures.distances import to_uint8
from tiwlib.measures.intervals import FEW, UNIT, as_text, clipped
from tiwlib.plots.data import image_grid
from tiwlib.plots.style import WIDTH, close, panels, plain, style_of
from tiwlib.plots.two_d import samples_2d

IN_A_ROW = 12  # images of a method in a row


def needs_and_shares(
    methods: dict[str, dict], names: tuple[str, ...], biased: np.ndarray, target: np.ndarray
) -> Figure:
    """Group shares of each method, with what it requires beside its name; Student's 95 % interval of four and more.

    methods: name -> {"label", "requires", "group_shares": {"mean", "low", "high", "seeds"}}, as in the record of
    notebook 07; biased, target: (G,). Two groups: the second one's share as bars. More: a row of shares, darker is
    more, equal shares in the middle.
    """
    labels = [plain(f"{measures['label']}\nneeds {measures['requires']}") for measures in methods.values()]
    shares = [measures["group_shares"] for measures in methods.values()]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.4 * len(labels) + 1.1))
    rows = np.arange(len(labels))
    if len(names) == 2:
        axes.barh(rows, [s["mean"][1] for s in shares], height=0.62, color="0.82")
        for row, (name, s) in enumerate(zip(methods, shares, strict=True)):
            each = [seed[1] for seed in s["seeds"]]
            axes.plot(each, [row] * len(each), **_dots(name))
            if len(each) >= FEW:
                ends = clipped((s["low"][1], s["high"][1]), UNIT)
                axes.plot(ends, [row] * 2, "|-", color="black", linewidth=1, markersize=5)
        for value, text, line in ((biased[1], "biased set", "--"), (target[1], "wanted", "-")):
            axes.axvline(value, color="0.35", linewidth=1, linestyle=line, zorder=0)
            where = {"ha": "center", "va": "bottom", "fontsize": "small", "annotation_clip": False}
            axes.annotate(f"{text} {value:.2f}", (value, -0.6), **where)
        axes.set(xlabel=f"share of {plain(names[1])} among the samples", xlim=(0, 1))
    else:
        table = np.array([biased, *(s["mean"] for s in shares)])
        labels = ["biased set", *labels]
        rows = np.arange(len(labels))
        image = axes.imshow(table, aspect="auto", cmap="PuOr", vmin=0, vmax=2 * target.max())
        for (i, j), value in np.ndenumerate(table):
            strong = abs(value - target[j]) > 0.85 * target.max()
            colour = "white" if strong else "black"
            axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize="small", color=colour)
        axes.set_xticks(range(len(names)), [plain(name) for name in names])
        axes.set(xlabel=f"group; numbers are shares in per cent, {100 * target[0]:.0f} is wanted")
        figure.colorbar(image, ax=axes, label="share", shrink=0.7)
    axes.set_yticks(rows, labels, fontsize="small")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    sns.despine(figure)
    return close(figure)


def _dots(method: str) -> dict:
    return style_of(method) | {"linestyle": "", "markersize": 4, "alpha": 0.8}


def baseline_table(methods: dict[str, dict]) -> pd.DataFrame:
    """The one table: a row for each method, means with intervals over seeds, and what it requires.

    methods: name -> the measures of `baselines.summary`, "label" and "requires".
    """
    columns = {
        "fairness_discrepancy": "fairness discrepancy",
        "pairwise_bias": "pairwise bias",
        "frechet": "Frechet",
        "precision": "precision",
        "recall": "recall",
        "unsure": "unsure",
        "nearest": "nearest training sample",
        "extra_parameters": "extra parameters",
        "training_steps": "training steps",
        "training_seconds": "training, s",
        "evaluations": "network evaluations a sample",
        "sampling_seconds": "sampling, s",
    }
    whole = ("extra_parameters", "training_steps", "evaluations")
    rows = {}
    for measures in methods.values():
        cells = {"requires": measures["requires"], "shares": _by_group(measures["group_shares"])}
        for name, title in columns.items():
            cell = measures[name]
            cells[title] = f"{cell['mean']:.0f}" if name in whole else as_text(cell, name)
        rows[measures["label"]] = cells | {"Frechet by group": _by_group(measures["group_frechet"])}
    return pd.DataFrame(rows).T


def _by_group(cell: dict) -> str:
    return ", ".join("none" if value is None else f"{value:.3g}" for value in cell["mean"])


def all_problems(records: dict[str, dict[str, dict]]) -> Figure:
    """Fairness discrepancy by method, a panel for each problem: a mark for each seed, a bar for their mean.

    records: problem -> name -> {"label", "fairness_discrepancy"}. What a method requires stands in the other figures.
    """
    labels = {name: measures["label"] for methods in records.values() for name, measures in methods.items()}
    figure, axes = _panels(list(labels.values()), len(records))
    for panel, (problem, methods) in zip(axes, records.items(), strict=True):
        _bars(panel, list(labels), methods, "fairness_discrepancy")
        panel.set(title=plain(problem), xlabel="discrepancy", xlim=(0, None))
    return close(figure)


QUALITY = {
    "fairness_discrepancy": "fairness\ndiscrepancy ↓",
    "frechet": "Frechet\ndistance ↓",
    "precision": "precision ↑",
    "recall": "recall ↑",
}


def fairness_and_quality(methods: dict[str, dict]) -> Figure:
    """Fairness beside what it was read from, a panel for each of QUALITY: a mark for each seed, a bar for their mean.

    methods: name -> {"label", "requires", and a cell for each of QUALITY}, as in the record of notebook 07.
    """
    labels = [f"{measures['label']}\nneeds {measures['requires']}" for measures in methods.values()]
    figure, axes = _panels(labels, len(QUALITY))
    for panel, (measure, title) in zip(axes, QUALITY.items(), strict=True):
        _bars(panel, list(methods), methods, measure)
        panel.set(xlabel=title, xlim=(0, 1 if measure in ("precision", "recall") else None))
    return close(figure)


def _panels(labels: list[str], number: int) -> tuple[Figure, list]:
    """Panels, four in a row, with a line for each label."""
    height = 0.36 if any("\n" in label for label in labels) else 0.24
    figure, axes, used = panels(number, 4, height * len(labels) + 0.9, sharey=True)
    ticks = {"yticks": range(len(labels)), "yticklabels": map(plain, labels)}
    axes[0][0].set(**ticks, ylim=(len(labels) - 0.5, -0.5))
    for panel in axes.flat:
        panel.tick_params(axis="y", labelsize="x-small")
    sns.despine(figure)
    return figure, used


def _bars(panel: plt.Axes, rows: list[str], methods: dict[str, dict], measure: str) -> None:
    for row, name in enumerate(rows):
        if name in methods:
            cell = methods[name][measure]
            panel.barh(row, cell["mean"], height=0.62, color="0.85")
            panel.plot(cell["seeds"], [row] * len(cell["seeds"]), clip_on=False, **_dots(name))


def first_samples(samples: dict[str, Tensor], methods: dict[str, dict]) -> Figure:
    """What each method draws: points (n, 2) with the minority's share, or the first images of each in a row.

    samples: name -> (n, *shape), where (n, d) with d above 2 are grey images of d pixels; methods: name -> {"label"}.
    """
    x = next(iter(samples.values()))
    if x.shape[1:] == (2,):
        shares = {methods[name]["label"]: f"{minority_share(x):.2f}" for name, x in samples.items()}
        return samples_2d({methods[name]["label"]: x for name, x in samples.items()}, shares)
    side = int(x[0].numel() ** 0.5)
    shape = x.shape[1:] if x.dim() == 4 else (1, side, side)
    images = np.concatenate([to_uint8(x[:IN_A_ROW].reshape(-1, *shape)) for x in samples.values()])
    return image_grid(images, IN_A_ROW, [methods[name]["label"] for name in samples])
