"""What runs of several sizes, powers or parts show: means over seeds, with bars as `mean_and_bar` has them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from tiwlib.measures.intervals import ANY, BOUNDS, FEW
from tiwlib.plots.style import WIDTH, close, in_lines, mean_and_bar, means_and_bars, style_of
from tiwlib.runs.tables import in_order, run_label


def against(frame: pd.DataFrame, x: str, xlabel: str, measures: dict[str, str]) -> Figure:
    """Each measure against x (log scale), a line for each method.

    frame: columns method (key), x, seed and the measures; measures: column -> axis label.
    """
    size = (min(WIDTH, 3.6 * len(measures)), 3.1)
    figure, axes = plt.subplots(1, len(measures), figsize=size, squeeze=False)
    ticks = sorted(frame[x].unique())
    for panel, (column, label) in zip(axes[0], measures.items(), strict=True):
        for i, method in enumerate(in_order(frame.method)):
            values, means, bars = means_and_bars(frame[frame.method == method], x, column)
            style = style_of(method) | {"capsize": 2, "label": run_label(method)}
            aside = 1.03 ** (i - 1.5)  # so that intervals do not hide each other
            panel.errorbar(np.array(values) * aside, means, bars, markersize=5, linewidth=1.2, **style)
        panel.set(xscale="log", xlabel=xlabel, ylabel=in_lines(label), ylim=(0, None))
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
    lines = axes[0][0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=min(4, len(lines[1])), frameon=False)
    sns.despine(figure)
    return close(figure)


def trade_off(frame: pd.DataFrame, x: str, y: str, labels: tuple[str, str]) -> Figure:
    """Quality x against bias y, the powers of each method along a dotted line; down and left is better.

    frame: columns method (key), alpha, seed, x, y; labels: of both axes.
    """
    figure, panel = plt.subplots(figsize=(5.4, 3.8))
    for i, method in enumerate(in_order(frame.method)):
        part = frame[frame.method == method].dropna(subset=[x, y])
        powers, mean_x, bars_x = means_and_bars(part, "alpha", x)
        _, mean_y, bars_y = means_and_bars(part, "alpha", y)
        style = style_of(method) | {"label": run_label(method), "linestyle": ":"}
        panel.errorbar(mean_x, mean_y, bars_y, bars_x, elinewidth=0.8, linewidth=0.6, capsize=2, **style)
        for alpha, at_x, at_y in zip(powers, mean_x, mean_y, strict=True):
            offset = {"xytext": (5, 5 if i else -12), "textcoords": "offset points"}
            panel.annotate(f"{alpha:g}", (at_x, at_y), color=style["color"], fontsize="small", **offset)
    panel.set(xlabel=labels[0], ylabel=in_lines(labels[1]), xlim=(0, None), ylim=(0, None))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.legend(frameon=False, title=r"power $\alpha$ at each point")
    sns.despine(figure)
    return close(figure)


def differences(frame: pd.DataFrame, base: str, measures: dict[str, str]) -> Figure:
    """Each method minus the method `base`, paired by seed: a dot for each seed, in black their mean.

    Four seeds and more have Student's 95 % interval too.

    frame: columns method (key), seed and the measures; measures: column -> axis label.
    """
    order = [method for method in in_order(frame.method) if method != base]
    size = (min(WIDTH, 3.4 * len(measures) + 0.8), 0.42 * len(order) + 1.1)
    figure, axes = plt.subplots(1, len(measures), figsize=size, squeeze=False, sharey=True)
    for panel, (column, label) in zip(axes[0], measures.items(), strict=True):
        low, high = BOUNDS.get(column, ANY)
        wide = frame.pivot(index="seed", columns="method", values=column)
        panel.axvline(0, color="0.6", linewidth=1)
        for row, method in enumerate(order):
            paired = (wide[method] - wide[base]).dropna()
            mean, below, above = mean_and_bar(paired, (low - high, high - low))
            bar = [[below], [above]] if len(paired) >= FEW else None
            style = style_of(method) | {"linestyle": "", "alpha": 0.8, "markersize": 5}
            panel.plot(paired, np.full(len(paired), row), **style)
            panel.errorbar(mean, row + 0.22, xerr=bar, fmt="D", color="black", capsize=3, markersize=4)
        panel.set(xlabel=f"difference in\n{in_lines(label)}", ylim=(len(order) - 0.4, -0.6))
        panel.set_yticks(
            range(len(order)), [f"{run_label(method)} minus {run_label(base)}" for method in order]
        )
    sns.despine(figure)
    return close(figure)
