"""Methods side by side."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tiwlib.measures.intervals import ANY, BOUNDS, FEW, as_text
from tiwlib.plots.style import WIDTH, close, in_lines, mean_and_bar, panels, plain, style_of
from tiwlib.runs.tables import in_order, run_label


def training_loss(steps, losses, method: str) -> Figure:
    """Mean loss between reports against the step, of a method of objectives.METHODS."""
    figure, axes = plt.subplots(figsize=(4.6, 2.6))
    axes.plot(steps, losses, color=style_of(method)["color"])
    axes.set(xlabel="step", ylabel="loss (weighted, a pixel)", title=run_label(method), yscale="log")
    sns.despine(figure)
    return close(figure)


def comparison(
    frame: pd.DataFrame, measures: dict[str, str], context: dict[str, dict[str, float]] | None = None
) -> Figure:
    """A panel for each measure: a mark for each run, a bar for their mean, Student's 95 % interval of four and more.

    frame: columns method (key, as from tables.table) and the measures; measures: column -> axis label; context:
    column -> name of a set -> its value, drawn as a line across the panel.
    """
    order = in_order(frame.method)
    figure, axes, used = panels(len(measures), 3, 0.27 * len(order) + (1.5 if context else 1.1), sharey=True)
    for panel, (column, label) in zip(used, measures.items(), strict=True):
        for row, key in enumerate(order):
            values = frame[column][frame.method == key].dropna()
            panel.barh(row, values.mean(), height=0.7, color="0.85")
            style = style_of(key) | {"linestyle": "", "markersize": 5, "alpha": 0.9}
            panel.plot(values, [row] * len(values), **style)
            if len(values) >= FEW:
                mean, below, above = mean_and_bar(values, BOUNDS.get(column, ANY))
                bar = {"xerr": [[below], [above]], "fmt": "none", "capsize": 2, "linewidth": 1}
                panel.errorbar(mean, row + 0.24, **bar, color="black")
        for (name, value), line in zip((context or {}).get(column, {}).items(), (":", "--"), strict=False):
            panel.axvline(value, color="black", linestyle=line, linewidth=1.2)
            where = {
                "rotation": 20,
                "ha": "left",
                "va": "bottom",
                "fontsize": "small",
                "annotation_clip": False,
            }
            panel.annotate(f"{name} set", (value, -0.55), **where)
        panel.set(xlabel=in_lines(label), xlim=(0, None), ylim=(len(order) - 0.5, -0.5))
    axes[0][0].set_yticks(range(len(order)), map(run_label, order))
    sns.despine(figure)
    return close(figure)


def as_table(table: dict, measures: dict[str, str]) -> pd.DataFrame:
    """Means with their intervals as text, a row for each method. table: key -> measure -> mean, low, high, seeds."""
    rows = {
        run_label(key): {
            "seeds": table[key]["seeds"],
            **{label: as_text(table[key][name], name) for name, label in measures.items()},
        }
        for key in in_order(table)
    }
    return pd.DataFrame(rows).T


def distance_table(sets: dict[str, dict]) -> pd.DataFrame:
    """Distances of sets of images to the real ones as text. sets: name -> measures, see measures.samples.of_samples."""
    rows = {}
    for name, cell in sets.items():
        means, kernel = ("fid", "kid") if "fid" in cell else ("frechet", "kernel_distance")
        titles = ("FID", "KID") if means == "fid" else ("Frechet distance", "kernel distance")
        scatter = (
            f"{cell[kernel]:.3g} +- {cell[f'{kernel}_std']:.3g} (subsets of {cell[f'{kernel}_subset_size']})"
        )
        rows[name] = {
            titles[0]: f"{cell[means]:.3g}",
            titles[1]: scatter,
            "precision": f"{cell['precision']:.3f}",
            "recall": f"{cell['recall']:.3f}",
        }
    return pd.DataFrame(rows).T


def share_lines(shares: dict[str, list[float]], names: tuple[str, ...]) -> Figure:
    """Share of each group among the samples, a mark for each method; equal shares in grey. shares: key -> (G,)."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0))
    axes.axhline(1 / len(names), color="0.7", linewidth=4, alpha=0.6, label="equal shares")
    order = in_order(shares)
    for i, key in enumerate(order):
        at = np.arange(len(names)) + 0.7 * ((i + 0.5) / len(order) - 0.5)
        style = style_of(key) | {"linestyle": "", "markersize": 5, "label": run_label(key)}
        axes.plot(at, shares[key], **style)
    for between in range(1, len(names)):
        axes.axvline(between - 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes.set_xticks(range(len(names)), [plain(name) for name in names])
    axes.set(xlabel="group", ylabel="share of samples", ylim=(0, None), xlim=(-0.5, len(names) - 0.5))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(figure)
    return close(figure)
