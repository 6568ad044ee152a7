"""Every figure's drawing. A function takes data and returns the figure; the notebook shows and records it."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from tiwlib.gaussians import MODES, ExactRatio
from tiwlib.objectives import METHODS
from tiwlib.ratio import weight_and_correction

LABELS = {name: method.label for name, method in METHODS.items()}

sns.set_theme(context="paper", style="ticks", palette="colorblind", font_scale=1.1)
plt.rcParams.update({"figure.constrained_layout.use": True, "axes.grid": False, "axes.titlesize": "medium"})


def close(figure: Figure) -> Figure:
    """Take the figure out of pyplot's hands, so that a notebook shows it once, where it is the cell's value."""
    plt.close(figure)
    return figure


# ---------------------------------------------------------------- the 2-D example


def plane(extent: float, n: int) -> torch.Tensor:
    """A regular grid of points over [-extent, extent]^2: (n * n, 2), rows run along x first."""
    axis = torch.linspace(-extent, extent, n)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def _heat(axes, values: torch.Tensor, extent: float, **style):
    side = int(len(values) ** 0.5)
    image = values.reshape(side, side).numpy()
    return axes.imshow(image, origin="lower", extent=(-extent, extent, -extent, extent), **style)


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
    )


def scores_and_ratio(exact: ExactRatio, ratio, sigmas=(0.1, 1.0, 3.0), extent: float = 5.0) -> Figure:
    """The paper's figure: scores of both densities, the ratio exact and learned, and its correction.

    A row for each sigma. ratio: anything with log_ratio(x, sigma), drawn beside the exact one.
    """
    points, arrows = plane(extent, 101), plane(0.9 * extent, 11)
    titles = (
        r"score of $p^\sigma_{\rm bias}$ on its density",
        r"score of $p^\sigma_{\rm data}$ on its density",
        r"exact $\log r(x,\sigma)$, with $\nabla \log r$",
        r"learned $\log r(x,\sigma)$, with $\nabla \log r$",
    )
    figure, axes = plt.subplots(len(sigmas), 4, figsize=(11, 2.6 * len(sigmas)), sharex=True, sharey=True)
    for row, level in zip(axes, sigmas, strict=True):
        sigma = torch.full((len(points),), level)
        for panel, density in zip(row, (exact.p_bias, exact.p_data), strict=False):
            shade = _heat(panel, density.log_prob(points, sigma).exp(), extent, cmap="Blues", vmin=0)
            _arrows(panel, arrows, density.score(arrows, sigma[: len(arrows)]), extent)
            figure.colorbar(shade, ax=panel, shrink=0.85)
        for panel, which in zip(row[2:], (exact, ratio), strict=True):
            with torch.no_grad():
                values = which.log_ratio(points, sigma)
            shade = _heat(panel, values, extent, cmap="PuOr_r", vmin=-1, vmax=1)
            _, correction = weight_and_correction(which, arrows, sigma[: len(arrows)], reference_fraction=0)
            _arrows(panel, arrows, correction, extent)
        figure.colorbar(shade, ax=list(row[2:]), shrink=0.85, label=r"$\log r$")
        row[0].set_ylabel(rf"$\sigma = {level:g}$")
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title)
    for panel in axes.flat:
        _frame(panel, extent)
    return close(figure)


def samples_2d(samples: dict[str, torch.Tensor], shares: dict[str, str], extent: float = 6.0) -> Figure:
    """Samples of several models side by side, each titled with its minority share."""
    figure, axes = plt.subplots(1, len(samples), figsize=(2.5 * len(samples), 2.8), sharex=True, sharey=True)
    for panel, (name, x) in zip(axes, samples.items(), strict=True):
        minority = x.sum(1) > 0
        for part, marker, colour in ((x[~minority], "o", "C0"), (x[minority], "^", "C1")):
            panel.scatter(*part.numpy().T, s=5, marker=marker, color=colour, alpha=0.5, linewidth=0)
        panel.set_title(f"{name}\nminority {shares[name]}")
        panel.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=(-5, 0, 5), yticks=(-5, 0, 5))
        panel.set_aspect("equal")
    return close(figure)


def shares_by_objective(frame: pd.DataFrame, target: float, observed: float) -> Figure:
    """Minority share of trained models, a point for each seed, beside the closed form of each objective.

    frame: columns method (label), seed, share, closed_form.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for value, name, line in ((target, "unbiased", "-"), (observed, "observed mixture", "--")):
        axes.axhline(value, color="0.6", linestyle=line, linewidth=1)
        axes.annotate(
            f"{name} {value:.2f}", (1.0, value), xycoords=("axes fraction", "data"), va="bottom", ha="right"
        )
    sns.stripplot(frame, x="method", y="share", color="C0", size=5, jitter=0.12, alpha=0.8, ax=axes)
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
        plt.Line2D([], [], marker="o", linestyle="", color="C0", label="trained, one point a seed"),
        plt.Line2D(
            [], [], marker="D", linestyle="", color="black", markerfacecolor="none", label="closed form"
        ),
    ]
    axes.legend(handles=handles, loc="lower right", frameon=False)
    axes.set(xlabel="", ylabel="share of the minority mode", ylim=(0.15, 0.65))
    sns.despine(figure)
    return close(figure)


# ---------------------------------------------------------------- the ratio network


def ratio_error_against_sigma(frame: pd.DataFrame) -> Figure:
    """Squared error of the ratio along VP time, a band over seeds. frame: columns t, error, estimator, seed."""
    figure, axes = plt.subplots(figsize=(6, 3.4))
    sns.lineplot(
        frame,
        x="t",
        y="error",
        hue="estimator",
        style="estimator",
        errorbar=("ci", 95),
        n_boot=500,
        seed=0,
        ax=axes,
    )
    axes.set(
        xlabel=r"diffusion time $t$  (VP; $\sigma(t)$ on top)",
        ylabel=r"$E\,(\hat r - r)^2$",
        xlim=(0, 1),
        ylim=(0, None),
    )
    top = axes.secondary_xaxis("top")
    sigmas = np.array([0, 0.5, 1, 2, 5, 20, 100])
    slope = 19.9
    at = 2 * np.log1p(sigmas**2) / (0.1 + np.sqrt(0.01 + 2 * slope * np.log1p(sigmas**2)))
    top.set_xticks(at, [f"{s:g}" for s in sigmas])
    axes.legend(title="mean and 95 % band over seeds", frameon=False)
    sns.despine(figure, top=False)
    return close(figure)


def stopping(frame: pd.DataFrame, loss_label: str = "held-out loss (nats)") -> Figure:
    """Held-out loss and score error against training length. frame: columns steps, measure, value, variant, seed."""
    measures = list(dict.fromkeys(frame.measure))
    figure, axes = plt.subplots(1, len(measures), figsize=(4.2 * len(measures), 3.3), squeeze=False)
    for panel, measure in zip(axes[0], measures, strict=True):
        part = frame[frame.measure == measure]
        sns.lineplot(
            part, x="steps", y="value", hue="variant", style="variant", markers=True, dashes=True,
            errorbar=("ci", 95), n_boot=500, seed=0, ax=panel, legend=panel is axes[0][0],
        )  # fmt: skip
        panel.set(xscale="log", xlabel="training length (steps)", ylabel=measure)
    axes[0][0].legend(title="", frameon=False)
    sns.despine(figure)
    return close(figure)


def calibration(frame: pd.DataFrame) -> Figure:
    """Probability of being a reference sample against its frequency. frame: columns predicted, observed, seed."""
    figure, axes = plt.subplots(figsize=(3.6, 3.4))
    axes.plot((0, 1), (0, 1), color="0.7", linewidth=3, alpha=0.7, label="calibrated")
    for i, (_, part) in enumerate(frame.groupby("seed")):
        label = "one line a seed" if i == 0 else None
        axes.plot(
            part.predicted,
            part.observed,
            "o-",
            color="C0",
            markersize=3,
            linewidth=0.8,
            alpha=0.7,
            label=label,
        )
    axes.set(
        xlabel="predicted probability of reference",
        ylabel="share of reference samples",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper left")
    sns.despine(figure)
    return close(figure)


def fit_history(histories: dict[str, pd.DataFrame], kept: dict[str, int]) -> Figure:
    """Loss on training batches and held-out samples while a ratio is fitted; a line where weights were kept."""
    figure, axes = plt.subplots(
        1, len(histories), figsize=(4.2 * len(histories), 2.9), sharey=True, squeeze=False
    )
    for panel, (name, history) in zip(axes[0], histories.items(), strict=True):
        panel.plot(history.step, history.train_loss, "--", color="C1", label="training")
        panel.plot(history.step, history.heldout_loss, "-", color="C0", label="held out")
        panel.axhline(np.log(2), color="0.6", linewidth=1)
        panel.annotate("knows nothing", (history.step.max(), np.log(2)), va="bottom", ha="right", color="0.4")
        panel.axvline(kept[name], color="black", linestyle=":", label=f"kept: step {kept[name]}")
        panel.set(title=name, xlabel="step", ylim=(0, 1.2))
        panel.legend(frameon=False, loc="lower left")
    axes[0][0].set_ylabel("cross-entropy (nats)")
    sns.despine(figure)
    return close(figure)


# ---------------------------------------------------------------- images and groups


def image_grid(images: np.ndarray, columns: int = 10, titles: list[str] | None = None) -> Figure:
    """uint8 images (N, C, H, W) in rows of `columns`; titles name the rows."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(0.62 * columns, 0.66 * rows), squeeze=False)
    for panel in axes.flat:
        panel.set(xticks=[], yticks=[])
        sns.despine(ax=panel, left=True, bottom=True)
    for panel, image in zip(axes.flat, images, strict=False):
        grey = len(image) == 1
        panel.imshow(
            image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=255
        )
    for panel, title in zip(axes[:, 0], titles or (), strict=False):
        panel.set_ylabel(title, rotation=0, ha="right", va="center")
    return close(figure)


def group_shares(
    shares: dict[str, np.ndarray], names: tuple[str, ...], intervals: dict | None = None
) -> Figure:
    """Bars of the share of each group, a colour for each set. intervals: (G, 2) by set, drawn as error bars."""
    figure, axes = plt.subplots(figsize=(max(5.0, 0.75 * len(names)), 3.0))
    width = 0.8 / len(shares)
    hatches = ("", "///", "...", "xxx")
    for i, (label, values) in enumerate(shares.items()):
        at = np.arange(len(names)) + (i - (len(shares) - 1) / 2) * width
        style = {"color": f"C{i}", "hatch": hatches[i % 4], "edgecolor": "white", "label": label}
        bounds = (intervals or {}).get(label)
        bars = None if bounds is None else np.abs(np.asarray(bounds).T - values)
        axes.bar(at, values, width, yerr=bars, error_kw={"linewidth": 1}, **style)
    axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 4 else 30)
    axes.set(ylabel="share of images")
    axes.legend(frameon=False)
    sns.despine(figure)
    return close(figure)


def training_loss(steps, losses, label: str) -> Figure:
    """Mean loss between reports against the step."""
    figure, axes = plt.subplots(figsize=(4.6, 2.6))
    axes.plot(steps, losses, color="C0")
    axes.set(xlabel="step", ylabel="loss (weighted, a pixel)", title=label, yscale="log")
    sns.despine(figure)
    return close(figure)


def run_label(method: str, reference_fraction: float | None) -> str:
    """How a figure names a run: the method, and the mixture where it is not the method's own."""
    label = LABELS[method]
    if reference_fraction is None:
        return label
    return f"{label}, half" if reference_fraction == 0.5 else f"{label}, pi {reference_fraction:g}"


def in_order(labels) -> list[str]:
    """Run labels in the order of the methods, variants behind their method."""
    order = list(LABELS.values())
    return sorted(set(labels), key=lambda label: (order.index(label.split(",")[0]), label))


def comparison(frame: pd.DataFrame, measures: dict[str, str]) -> Figure:
    """A panel for each measure: a dot for each run, a bar for their mean, methods in order.

    frame: columns method (label) and the measures; measures: column -> axis label.
    """
    order = in_order(frame.method)
    size = (2.9 * len(measures) + 0.8, 0.36 * len(order) + 1)
    figure, axes = plt.subplots(1, len(measures), figsize=size, squeeze=False, sharey=True)
    for panel, (column, label) in zip(axes[0], measures.items(), strict=True):
        sns.barplot(frame, x=column, y="method", order=order, color="0.8", errorbar=None, ax=panel)
        sns.stripplot(
            frame, x=column, y="method", order=order, color="C0", size=5, alpha=0.9, jitter=False, ax=panel
        )
        panel.set(xlabel=label, ylabel="", xlim=(0, None))
    sns.despine(figure)
    return close(figure)


def as_table(table: dict, measures: dict[str, str]) -> pd.DataFrame:
    """Means with their intervals as text, a row for each method. table: method -> measure -> mean, low, high."""

    def text(cell: dict) -> str:
        interval = "" if cell["low"] is None else f" ({cell['low']:.3g} to {cell['high']:.3g})"
        return f"{cell['mean']:.3g}{interval}"

    rows = {
        label: {
            "seeds": table[label]["seeds"],
            **{measures[name]: text(table[label][name]) for name in measures},
        }
        for label in in_order(table)
    }
    return pd.DataFrame(rows).T


def share_lines(shares: dict[str, list[float]], names: tuple[str, ...]) -> Figure:
    """Share of each group among the samples, a line for each method; equal shares in grey."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    axes.axhline(1 / len(names), color="0.7", linewidth=4, alpha=0.6, label="equal shares")
    markers = "osD^vPX*"
    for i, label in enumerate(in_order(shares)):
        axes.plot(
            range(len(names)), shares[label], marker=markers[i % len(markers)], linewidth=1, label=label
        )
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="group", ylabel="share of samples", ylim=(0, None))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(figure)
    return close(figure)
