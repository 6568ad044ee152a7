"""The 2-D example: fields, samples, shares."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from tiwlib.gaussians import MODES, ExactRatio
from tiwlib.objectives import weight_and_correction
from tiwlib.plots.style import close, style_of
from tiwlib.runs.tables import run_label


def plane(extent: float, n: int) -> torch.Tensor:
    """A regular grid of points over [-extent, extent]^2: (n * n, 2), rows run along x first."""
    axis = torch.linspace(-extent, extent, n)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def _heat(axes, points: torch.Tensor, values: torch.Tensor, levels=12, **style):
    """Filled contours of values (n * n,) on the grid of `plane`."""
    side = int(len(values) ** 0.5)
    x, y = points.reshape(side, side, 2).unbind(-1)
    return axes.contourf(x.numpy(), y.numpy(), values.reshape(side, side).numpy(), levels, **style)


def _arrows(axes, at: torch.Tensor, vectors: torch.Tensor, extent: float):
    """Arrows of one length scale a panel: the longest spans one cell of the grid."""
    cell = 2 * extent / (len(at) ** 0.5 - 1)
    scale = vectors.norm(dim=1).max() / cell
    x, v = at.numpy(), vectors.numpy()
    axes.quiver(*x.T, *v.T, angles="xy", scale_units="xy", scale=float(scale), width=0.006, color="black")


def _frame(axes, extent: float):
    axes.plot(*np.transpose(MODES), "+", color="white", markersize=9, markeredgewidth=2.4)
    axes.plot(*np.transpose(MODES), "+", color="black", markersize=8, markeredgewidth=1.2)
    axes.set(
        xlim=(-extent, extent),
        ylim=(-extent, extent),
        xticks=(-extent, 0, extent),
        yticks=(-extent, 0, extent),
        aspect="equal",
    )


def scores_and_ratio(exact: ExactRatio, ratio=None, sigmas=(0.1, 1.0, 3.0), extent: float = 5.0) -> Figure:
    """The paper's figure: scores of both densities, the ratio exact and learned, and its correction.

    A row for each sigma. ratio: anything with log_ratio(x, sigma), drawn beside the exact one; None: that alone.
    """
    points, arrows = plane(extent, 101), plane(0.9 * extent, 11)
    titles = (
        "biased density\nand its score",
        "unbiased density\nand its score",
        "exact log ratio\nand its gradient",
        "learned log ratio\nand its gradient",
    )
    shown = (exact,) if ratio is None else (exact, ratio)
    size = (2.9 * (2 + len(shown)), 2.5 * len(sigmas))
    figure, axes = plt.subplots(len(sigmas), 2 + len(shown), figsize=size, sharex=True, sharey=True)
    for row, level in zip(axes, sigmas, strict=True):
        sigma = torch.full((len(points),), level)
        for panel, density in zip(row, (exact.p_bias, exact.p_data), strict=False):
            shade = _heat(panel, points, density.log_prob(points, sigma).exp(), cmap="Blues")
            _arrows(panel, arrows, density.score(arrows, sigma[: len(arrows)]), extent)
            figure.colorbar(shade, ax=panel, shrink=0.85, label="density")
        for panel, which in zip(row[2:], shown, strict=True):
            with torch.no_grad():
                values = which.log_ratio(points, sigma)
            shade = _heat(panel, points, values, np.linspace(-1, 1, 17), cmap="PuOr_r", extend="both")
            _, correction = weight_and_correction(which, arrows, sigma[: len(arrows)], reference_fraction=0)
            _arrows(panel, arrows, correction, extent)
        figure.colorbar(shade, ax=list(row[2:]), shrink=0.85, label=r"$\log r$")
        row[0].set_ylabel(rf"$\sigma = {level:g}$")
    for panel, title in zip(axes[0], titles, strict=False):
        panel.set_title(title)
    for panel in axes.flat:
        _frame(panel, extent)
    return close(figure)


def samples_2d(samples: dict[str, torch.Tensor], shares: dict[str, str], extent: float = 6.0) -> Figure:
    """Samples of several models side by side, six in a row, each titled with its minority share."""
    columns = min(6, len(samples))
    rows = -(-len(samples) // columns)
    size = (2.5 * columns, 2.8 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for panel in axes.flat[len(samples) :]:
        panel.remove()
    for panel, (name, x) in zip(axes.flat, samples.items(), strict=False):
        minority = x.sum(1) > 0
        for part, marker, colour in ((x[~minority], "o", "C0"), (x[minority], "^", "C1")):
            panel.scatter(*part.numpy().T, s=5, marker=marker, color=colour, alpha=0.5, linewidth=0)
        panel.set_title(f"{name}\nminority {shares[name]}")
        panel.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=(-5, 0, 5), yticks=(-5, 0, 5))
        panel.set_aspect("equal")
    return close(figure)


def shares_by_objective(frame: pd.DataFrame, target: float, observed: float) -> Figure:
    """Minority share of trained models, a point for each seed, beside the closed form of each objective.

    frame: columns method (key), seed, share, closed_form.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for value, name, line in ((target, "unbiased", "-"), (observed, "observed mixture", "--")):
        axes.axhline(value, color="0.6", linestyle=line, linewidth=1)
        where = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "left", "color": "0.35"}
        axes.annotate(f"{name} {value:.2f}", (1.01, value), **where)
    order = list(dict.fromkeys(frame.method))
    for at, key in enumerate(order):
        shares = frame.share[frame.method == key]
        axes.plot(
            [at] * len(shares), shares, **style_of(key) | {"linestyle": "", "alpha": 0.8, "markersize": 5}
        )
    axes.set_xticks(range(len(order)), map(run_label, order))
    exact = frame.groupby("method", sort=False).closed_form.first()
    axes.plot(
        range(len(exact)),
        exact,
        "D",
        color="black",
        markersize=7,
        markerfacecolor="none",
        markeredgewidth=1.4,
    )
    handles = [
        plt.Line2D([], [], marker="o", linestyle="", color="0.4", label="trained, one mark a seed"),
        plt.Line2D(
            [], [], marker="D", linestyle="", color="black", markerfacecolor="none", label="closed form"
        ),
    ]
    axes.legend(handles=handles, loc="lower right", frameon=False)
    axes.set(xlabel="", ylabel="share of the minority mode", ylim=(0.15, 0.65))
    sns.despine(figure)
    return close(figure)
