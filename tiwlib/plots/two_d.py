"""The 2-D example: fields, samples, shares."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from tiwlib.gaussians import MODES, ExactRatio
from tiwlib.measures.intervals import FEW, UNIT
from tiwlib.objectives import weight_and_correction
from tiwlib.plots.style import WIDTH, close, mean_and_bar, panels, style_of
from tiwlib.runs.tables import run_label

EXTENT = 5.0  # of every field, in both directions
SIGMAS = (0.1, 1.0, 3.0)  # a row of panels for each
DENSITIES = np.outer([1e-4, 1e-3, 1e-2], [1, 3]).flatten().tolist() + [0.1]  # the largest is 0.13
RATIOS = np.linspace(-1, 1, 11)  # the exact log r runs from log 0.625 to log 2.5
LOG_RATIO = r"$\log r$ and its gradient"


def plane(extent: float, n: int) -> torch.Tensor:
    """A regular grid of points over [-extent, extent]^2: (n * n, 2), rows run along x first."""
    axis = torch.linspace(-extent, extent, n)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def _heat(panel, points: torch.Tensor, values: torch.Tensor, levels, **style):
    """Filled contours of values (n * n,) on the grid of `plane`."""
    side = int(len(values) ** 0.5)
    x, y = points.reshape(side, side, 2).unbind(-1)
    return panel.contourf(
        x.numpy(), y.numpy(), values.reshape(side, side).numpy(), levels, extend="both", **style
    )


def _arrows(panel, at: torch.Tensor, vectors: torch.Tensor, level: float, unit: float):
    """Arrows of vectors (n, 2) times the width of a mode at this level, sqrt(1 + sigma^2): 1 is `unit` long."""
    x, v = at.numpy(), (1 + level**2) ** 0.5 * vectors.numpy()
    panel.quiver(
        *x.T, *v.T, angles="xy", scale_units="xy", scale=1 / unit, width=0.006, color="black", pivot="mid"
    )


def _density(panel, density, level: float):
    points, arrows = plane(EXTENT, 101), plane(0.85 * EXTENT, 9)
    sigma = torch.full((len(points),), level)
    style = {"cmap": "Blues", "norm": LogNorm(DENSITIES[0], DENSITIES[-1])}
    shade = _heat(panel, points, density.log_prob(points, sigma).exp(), DENSITIES, **style)
    _arrows(panel, arrows, density.score(arrows, sigma[: len(arrows)]), level, 0.2)
    return shade


def _log_ratio(panel, ratio, level: float):
    points, arrows = plane(EXTENT, 101), plane(0.85 * EXTENT, 11)
    sigma = torch.full((len(points),), level)
    with torch.no_grad():
        values = ratio.log_ratio(points, sigma)
    shade = _heat(panel, points, values, RATIOS, cmap="PuOr_r")
    _, gradient = weight_and_correction(ratio, arrows, sigma[: len(arrows)], reference_fraction=0)
    _arrows(panel, arrows, gradient, level, 0.5)
    return shade


def _fields(columns: list[tuple]) -> tuple[Figure, np.ndarray, list]:
    """A row for each sigma, a column for each (title, function that draws, what it draws); a shade of each column."""
    size = (WIDTH, 1.95 * len(SIGMAS) + 0.3)
    options = {"figsize": size, "sharex": True, "sharey": True, "squeeze": False}
    figure, axes = plt.subplots(len(SIGMAS), len(columns), **options)
    shades = []
    for i, (title, draw, what) in enumerate(columns):
        for panel, level in zip(axes[:, i], SIGMAS, strict=True):
            shade = draw(panel, what, level)
            panel.plot(*np.transpose(MODES), "+", color="white", markersize=9, markeredgewidth=2.4)
            panel.plot(*np.transpose(MODES), "+", color="black", markersize=8, markeredgewidth=1.2)
            ticks = (-4, 0, 4)
            panel.set(
                xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), xticks=ticks, yticks=ticks, aspect="equal"
            )
        axes[0, i].set_title(title)
        axes[-1, i].set_xlabel("first coordinate")
        shades.append(shade)
    for panel, level in zip(axes[:, 0], SIGMAS, strict=True):
        panel.set_ylabel(rf"$\sigma = {level:g}$" + "\nsecond coordinate")
    return figure, axes, shades


def scores_and_ratio(exact: ExactRatio) -> Figure:
    """The paper's example: scores of both densities, and the exact log ratio with its gradient.

    Colours and arrows have one scale in all panels of densities, and one in all panels of the ratio.
    """
    columns = [
        ("biased density\nand its score", _density, exact.p_bias),
        ("unbiased density\nand its score", _density, exact.p_data),
        (f"exact ratio:\n{LOG_RATIO}", _log_ratio, exact),
    ]
    figure, axes, shades = _fields(columns)
    figure.colorbar(
        shades[1], ax=list(axes[:, :2].flat), shrink=0.6, label="density", location="left", format="%g"
    )
    figure.colorbar(shades[2], ax=list(axes[:, 2]), shrink=0.6, label=r"$\log r$")
    return close(figure)


def log_ratios(ratios: dict[str, object]) -> Figure:
    """Log ratios side by side with their gradients, on the scales of `scores_and_ratio`. ratios: name -> ratio."""
    columns = [
        (f"{name.replace('_', '-')} ratio:\n{LOG_RATIO}", _log_ratio, ratio) for name, ratio in ratios.items()
    ]
    figure, axes, shades = _fields(columns)
    figure.colorbar(shades[0], ax=list(axes.flat), shrink=0.6, label=r"$\log r$")
    return close(figure)


def samples_2d(samples: dict[str, torch.Tensor], shares: dict[str, str], extent: float = 6.0) -> Figure:
    """The first samples of several models side by side, five in a row, each titled with its minority share."""
    figure, axes, used = panels(len(samples), 5, 2.0, sharex=True, sharey=True)
    for panel, (name, x) in zip(used, samples.items(), strict=True):
        x = x[: 3000 // len(samples)]  # more would hide one another, and make the picture large
        minority = x.sum(1) > 0
        for part, marker, colour in ((x[~minority], "o", "0.55"), (x[minority], "^", "#8B1A1A")):
            panel.scatter(
                *part.numpy().T, s=3, marker=marker, color=colour, alpha=0.6, linewidth=0, rasterized=True
            )
        panel.set_title(f"{name}\nminority {shares[name]}", fontsize="small")
        panel.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=(-4, 0, 4), yticks=(-4, 0, 4))
        panel.set_aspect("equal")
    for panel in used[-axes.shape[1] :]:  # nothing stands below them
        panel.set_xlabel("first coordinate")
    for panel in axes[:, 0]:
        panel.set_ylabel("second coordinate")
    return close(figure)


def shares_by_objective(frame: pd.DataFrame, target: float, observed: float) -> Figure:
    """Minority share of trained models beside the closed form of each objective.

    A mark for each seed, their mean, with Student's 95 % interval of four and more, a diamond for the closed form.
    frame: columns method (key), seed, share, closed_form.
    """
    order = list(dict.fromkeys(frame.method))
    figure, axes = plt.subplots(figsize=(1.0 * len(order) + 1.6, 3.4))
    for value, name, line in ((target, "unbiased", "-"), (observed, "batches", "--")):
        axes.axhline(value, color="0.6", linestyle=line, linewidth=1)
        where = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "left", "color": "0.35"}
        axes.annotate(f"{name}\n{value:.2f}", (1.01, value), **where)
    for at, key in enumerate(order):
        part, style = frame[frame.method == key], style_of(key) | {"linestyle": ""}
        axes.plot([at - 0.2] * len(part), part.share, **style | {"alpha": 0.8, "markersize": 5})
        if len(part) > 1:
            mean, below, above = mean_and_bar(part.share, UNIT)
            bar = [[below], [above]] if len(part) >= FEW else None
            axes.errorbar(at, mean, bar, fmt="_", capsize=4, markersize=9, color=style["color"])
        exact = {"markerfacecolor": "none", "markersize": 7, "markeredgewidth": 1.4}
        axes.plot(at + 0.2, part.closed_form.iloc[0], "D", color="black", **exact)
    handles = [
        plt.Line2D([], [], marker="o", linestyle="", color="0.4", label="trained: a mark a seed"),
        plt.Line2D(
            [], [], marker="_", markersize=9, linestyle="", color="0.4", label="their mean, 95 % interval"
        ),
        plt.Line2D(
            [], [], marker="D", linestyle="", color="black", markerfacecolor="none", label="closed form"
        ),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    axes.set_xticks(range(len(order)), map(run_label, order))
    axes.set(xlabel="", ylabel="share of the minority mode", xlim=(-0.5, len(order) - 0.5))
    sns.despine(figure)
    return close(figure)
