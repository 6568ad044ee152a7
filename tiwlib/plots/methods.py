"""Methods side by side."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tiwlib.measures.intervals import as_text
from tiwlib.plots.style import close, plain, style_of
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
    """A panel for each measure: a mark for each run, a bar for their mean, methods in order.

    frame: columns method (key, as from tables.table) and the measures; measures: column -> axis label; context:
    column -> name of a set -> its value, drawn as a line across the panel.
    """
    order = in_order(frame.method)
    size = (2.9 * len(measures) + 0.8, 0.36 * len(order) + (1.3 if context else 1))
    figure, axes = plt.subplots(1, len(measures), figsize=size, squeeze=False, sharey=True)
    for panel, (column, label) in zip(axes[0], measures.items(), strict=True):
        for row, key in enumerate(order):
            values = frame[column][frame.method == key]
            panel.barh(row, values.mean(), height=0.7, color="0.85")
            style = style_of(key) | {"linestyle": "", "markersize": 5, "alpha": 0.9}
            panel.plot(values, [row] * len(values), **style)
        for (name, value), line in zip((context or {}).get(column, {}).items(), (":", "--"), strict=False):
            panel.axvline(value, color="black", linestyle=line, linewidth=1.2, label=f"the {name} set itself")
        panel.set(xlabel=label, xlim=(0, None), ylim=(len(order) - 0.5, -0.5))
    axes[0][0].set_yticks(range(len(order)), map(run_label, order))
    if context:
        lines = next(panel for panel, column in zip(axes[0], measures, strict=True) if column in context)
        figure.legend(*lines.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
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
    """Distances of sets of images to the real ones as text, a row for each set. sets: name -> measures of of_samples."""
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
    """Share of each group among the samples, a line for each method; equal shares in grey. shares: key -> (G,)."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    axes.axhline(1 / len(names), color="0.7", linewidth=4, alpha=0.6, label="equal shares")
    for key in in_order(shares):
        axes.plot(range(len(names)), shares[key], linewidth=1, label=run_label(key), **style_of(key))
    axes.set_xticks(range(len(names)), [plain(name) for name in names])
    axes.set(xlabel="group", ylabel="share of samples", ylim=(0, None))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(figure)
    return close(figure)


STAGES = {"ratio": "ratio network", "training": "training", "sampling": "sampling", "measures": "measures"}


def cost(frame: pd.DataFrame) -> Figure:
    """Median seconds of each stage, stacked, and the memory at the peak of training. frame: from records.costs."""
    order = in_order(frame.method)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 0.36 * len(order) + 1.6), sharey=True, width_ratios=(3, 2)
    )
    seconds = (
        frame.pivot_table(index="method", columns="stage", values="seconds", aggfunc="median")
        .reindex(order)
        .fillna(0)
    )
    before = 0 * seconds.iloc[:, 0]
    hatches = ("", "///", "...", "xxx")
    for i, (stage, label) in enumerate(STAGES.items()):
        if stage in seconds:
            style = {"color": f"C{i}", "hatch": hatches[i], "edgecolor": "white", "label": label}
            left.barh(order, seconds[stage], left=before, **style)
            before = before + seconds[stage]
    memory = frame[frame.stage == "training"]
    for key in order:
        peaks = memory.peak_memory_mb[memory.method == key]
        right.plot(peaks, [key] * len(peaks), **style_of(key) | {"linestyle": ""})
    left.set(xlabel="seconds, median over runs", ylabel="")
    left.set_yticks(range(len(order)), map(run_label, order))
    right.set(
        xlabel="memory at the peak of training (MB)", ylabel="", xlim=(0, 1.1 * memory.peak_memory_mb.max())
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    sns.despine(figure)
    return close(figure)
