"""What an objective, a ratio or one of its parts changes: shares, sweeps, differences."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tiwlib.measures.intervals import ANY, BOUNDS
from tiwlib.objectives import METHODS
from tiwlib.plots.style import WIDTH, close, mean_and_bar, means_and_bars, style_of, style_of_label

MARKERS = "osD^vPX"


def shares_of_minimisers(frame: pd.DataFrame, target: float) -> Figure:
    """Minority share that every objective converges to, a line from the share of its batches to it.

    frame: columns name (a method's key, or another word), label, batches, share.
    """
    figure, axes = plt.subplots(figsize=(6.6, 0.3 * len(frame) + 0.9))
    axes.axvline(target, color="0.6", linewidth=1, zorder=0)
    axes.annotate(
        f"unbiased {target:.2f}",
        (target, 1.01),
        xycoords=("data", "axes fraction"),
        ha="center",
        color="0.35",
    )
    for row, (key, batches, share) in enumerate(zip(frame.name, frame.batches, frame.share, strict=True)):
        style = style_of(key) if key.startswith(tuple(METHODS)) else {"color": "0.4", "marker": "X"}
        axes.plot([batches, share], [row, row], "-", color=style["color"], linewidth=1.2)
        axes.plot(batches, row, "|", color=style["color"], markersize=11, markeredgewidth=1.6)
        axes.plot(share, row, **style | {"linestyle": "", "markersize": 7})
    axes.set_yticks(range(len(frame)), frame.label)
    axes.set(
        xlabel="share of the minority mode, from that of the batches (bar)", ylim=(len(frame) - 0.4, -0.6)
    )
    axes.margins(x=0.08)
    sns.despine(figure)
    return close(figure)


def sweep(
    frame: pd.DataFrame,
    x: str,
    measures: dict[str, str],
    label: str,
    variant: str | None = None,
    lines: dict[str, float] | None = None,
    even: bool = False,
    log: bool = False,
) -> Figure:
    """A panel for each measure against x: one line a variant, means with bars, as `mean_and_bar` has them.

    frame: columns x, the measures, and variant; one that begins with a method's label, "TIW-DSM (integral)", has that
    method's style. label: of the x axis. lines: measure -> the value to reach.
    even: the values of x stand at equal distances, whatever they are. log: x has a logarithmic scale.
    """
    size = (min(WIDTH, 3.5 * len(measures)), 2.6)
    figure, axes = plt.subplots(1, len(measures), figsize=size, squeeze=False, sharex=True)
    variants = [None] if variant is None else list(dict.fromkeys(frame[variant]))
    ticks = sorted(frame[x].unique())
    at = {value: i for i, value in enumerate(ticks)} if even else {value: value for value in ticks}
    for panel, (column, name) in zip(axes[0], measures.items(), strict=True):
        if column in (lines or {}):
            panel.axhline(lines[column], color="0.7", linewidth=3, alpha=0.7, zorder=0)
        for i, which in enumerate(variants):
            part = frame if which is None else frame[frame[variant] == which]
            values, means, bars = means_and_bars(part, x, column)
            shift = 0.06 * (i - (len(variants) - 1) / 2) if even else 0
            panel.errorbar(
                [at[v] + shift for v in values], means, yerr=bars, label=which,
                capsize=3, markersize=5, **style_of_label(which or "", i),
            )  # fmt: skip
        if log:
            panel.set_xscale("log")
            panel.minorticks_off()
        panel.set_xticks([at[v] for v in ticks], [f"{v:g}" for v in ticks])
        panel.set(xlabel=label, ylabel=name)
    if variant is not None:
        drawn = axes[0][0].get_legend_handles_labels()
        figure.legend(*drawn, loc="outside upper center", ncols=min(5, len(drawn[1])), frameon=False)
    sns.despine(figure)
    return close(figure)


def scatter(frame: pd.DataFrame, x: dict[str, str], y: tuple[str, str], hue: str) -> Figure:
    """Does x foretell y? A panel for each x, a point for each run, a marker for each kind of variation.

    frame: columns of x, y and hue. x: column -> axis label; y: column and axis label.
    """
    size = (min(WIDTH, 3.3 * len(x)), 2.7)
    figure, axes = plt.subplots(1, len(x), figsize=size, squeeze=False, sharey=True)
    for panel, (column, name) in zip(axes[0], x.items(), strict=True):
        for i, (kind, part) in enumerate(frame.groupby(hue, sort=False)):
            style = {
                "marker": MARKERS[i],
                "color": f"C{i}",
                "linestyle": "",
                "alpha": 0.65,
                "markersize": 4.5,
            }
            panel.plot(part[column], part[y[0]], label=kind, **style)
        correlation = frame[column].corr(frame[y[0]], method="spearman")
        panel.set(xlabel=name, title=f"rank correlation {correlation:.2f}")
    axes[0][0].set_ylabel(y[1])
    drawn = axes[0][0].get_legend_handles_labels()
    figure.legend(*drawn, loc="outside upper center", ncols=len(drawn[1]), frameon=False)
    sns.despine(figure)
    return close(figure)


def variants(frame: pd.DataFrame, measures: dict[str, str]) -> Figure:
    """A panel for each measure: a dot for each seed, and each variant's mean with its bar, as `mean_and_bar` has it.

    frame: columns variant and the measures; dots of one seed are joined, for variants share their seeds.
    """
    order = list(dict.fromkeys(frame.variant))
    size = (min(WIDTH, 2.7 * len(measures) + 1.2), 0.36 * len(order) + 1)
    figure, axes = plt.subplots(1, len(measures), figsize=size, squeeze=False, sharey=True)
    for panel, (column, name) in zip(axes[0], measures.items(), strict=True):
        table = frame.pivot(index="variant", columns="seed", values=column).loc[order]
        panel.plot(table.to_numpy(), np.arange(len(order)), "o-", color="0.75", markersize=3.5, linewidth=0.7)
        for row, values in enumerate(table.to_numpy()):
            mean, below, above = mean_and_bar(values, BOUNDS.get(column, ANY))
            style = {"fmt": "D", "color": "C0", "markersize": 6, "capsize": 4, "linewidth": 1.5}
            panel.errorbar(mean, row, xerr=[[below], [above]], **style)
        panel.set(xlabel=name, ylim=(len(order) - 0.5, -0.5))
    axes[0][0].set_yticks(range(len(order)), order)
    sns.despine(figure)
    return close(figure)
