"""The ratio network: its error, its training, its calibration."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from tiwlib.measures.intervals import DISTANCE
from tiwlib.noise import vp_time
from tiwlib.plots.style import WIDTH, close, mean_and_bar, panels
from tiwlib.runs.tables import TIME, VANISHED, vanishing

# What axes call the measures of a ratio, and what they are drawn against.
RATIO_LABELS = {
    "heldout_loss": "held-out loss (nats)",
    "fresh_loss": "loss on fresh images (nats)",
    "ratio_error": "integrated error of $r$",
    "score_error": r"error of $\sigma\nabla\log r$",
    "corrected_score_error": "error of the score",
    "share": "minority share",
    "share_error": "error of the minority share",
    "variation_after_weighting": "total variation of shares\nafter weighting",
    "steps": "training length (steps)",
    "reference": "reference points",
    "n_reference": "size of the reference set",
    "threshold": r"corrected only above this $\sigma$",
}


def ratio_error_against_sigma(frame: pd.DataFrame) -> Figure:
    """Squared error of both ratios along VP time, in units of the time-independent one's on the same data.

    frame: columns t, error, estimator, seed, and `lengths`, a panel for each. Means over seeds, in a band that is the
    bar of `mean_and_bar`. The area below the time-dependent curve, in the title, is the mean over seeds of its share of
    the error.
    """
    frame = frame if "lengths" in frame else frame.assign(lengths="")
    clean = frame[frame.estimator == "time-independent"].groupby(["lengths", "seed"]).error.mean()
    unit = clean.reindex(pd.MultiIndex.from_frame(frame[["lengths", "seed"]])).to_numpy()
    frame = frame.assign(relative=frame.error / unit)
    variants = list(dict.fromkeys(frame.lengths))
    figure, axes, used = panels(len(variants), 2, 2.9, sharey=True)
    for panel, lengths in zip(used, variants, strict=True):
        part = frame[(frame.lengths == lengths) & (frame.estimator == "time-dependent")]
        curves = part.pivot(index="t", columns="seed", values="relative")  # (times, seeds)
        mean, below, above = np.array([mean_and_bar(values, DISTANCE) for values in curves.to_numpy()]).T
        panel.fill_between(curves.index, mean - below, mean + above, color="C0", alpha=0.2, linewidth=0)
        panel.plot(curves.index, mean, color="C0", label="time-dependent, $r(x, \\sigma)$")
        panel.axhline(1, color="C1", linestyle="--", label="time-independent, $r(x_0)$")
        panel.set_title(f"{lengths}: {curves.to_numpy().mean():.2f}" if lengths else "")
        panel.set(xlabel=r"diffusion time $t$ ($\sigma(t)$ on top)", xlim=(0, 1), ylim=(0, None))
        top = panel.secondary_xaxis("top")
        sigmas = torch.tensor([0, 0.5, 1, 2, 5, 20, 100])
        top.set_xticks(vp_time(sigmas), [f"{s:g}" for s in sigmas])
    axes[0][0].set_ylabel("squared error of $r$,\ntime-independent = 1")
    lines = axes[0][0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=2, frameon=False)
    sns.despine(figure, top=False)
    return close(figure)


def along_shift(ratios: dict, mode: tuple[float, float], shift: tuple[float, float]) -> Figure:
    """log r of clean points through a mode along a shift, a curve for each ratio. mode, shift: points (2,)."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    length = sum(part**2 for part in shift) ** 0.5
    at = torch.linspace(-3, 3, 121)
    x = torch.tensor(mode) + at[:, None] * torch.tensor(shift) / length  # (121, 2)
    for row, (name, ratio) in enumerate(ratios.items()):
        with torch.no_grad():
            values = ratio.log_ratio(x, torch.zeros(len(x)))
        style = {"color": f"C{row}", "linestyle": ("-", "--", ":", "-.")[row % 4]}
        axes.plot(at, values, label=name, **style)
    axes.set(xlabel="distance from the mode, in the direction of the shift", ylabel=r"$\log r(x_0)$")
    axes.legend(frameon=False)
    sns.despine(figure)
    return close(figure)


def calibration(frame: pd.DataFrame) -> Figure:
    """Probability of being a reference sample against its frequency. frame: columns predicted, observed, seed."""
    figure, axes = plt.subplots(figsize=(3.3, 3.1))
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
    """Loss on training batches and held-out samples while a ratio is fitted; a line at the weights that are used.

    Keys: TIME of runs.tables, "time_dependent" or "time_independent". A ratio that is looked at once, at its end, has
    points for lines.
    """
    size = (min(WIDTH, 4.2 * len(histories) + 2.2), 2.7)
    figure, axes = plt.subplots(1, len(histories), figsize=size, sharey=True, squeeze=False)
    for panel, (name, history) in zip(axes[0], histories.items(), strict=True):
        panel.axhline(np.log(2), color="0.6", linewidth=1, label="chance level, log 2")
        panel.set(title=f"{TIME.get(name, name)} ratio", xlabel="step")
        if len(history) == 1:
            step = history.step.item()
            if step:
                panel.plot(step, history.train_loss, "o", mfc="white", color="0.35", label="training")
            panel.plot(step, history.heldout_loss, "o", color="black", label="held out")
            panel.set(xticks=[], xlabel=f"after {step:,} steps" if step else "computed, without steps")
            continue
        panel.plot(history.step, history.train_loss, "--", color="0.35", label="training")
        panel.plot(history.step, history.heldout_loss, "-", color="black", label="held out")
        panel.axvline(kept[name], color="black", linestyle=":", label="the weights that are used")
    axes[0][0].set_ylabel("cross-entropy (nats)")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(figure)
    return close(figure)


def weights(frame: pd.DataFrame, least_ratio: float | None = None) -> Figure:
    """Histograms of the weights of biased images, a panel for each sigma, with the share of ratios below 0.01.

    frame: columns estimator, sigma, log10_w (lower edge of a bin), share; from tables.weights. least_ratio: the
    smallest value that a correct clean ratio can have.
    """
    sigmas = sorted(frame.sigma.unique())
    figure, axes, used = panels(len(sigmas), 3, 2.4, sharex=True, sharey=True)
    edges = sorted(frame.log10_w.unique())
    width = edges[1] - edges[0]
    styles = {
        "time-dependent": {"color": "C0", "alpha": 0.7, "linewidth": 0},
        "time-independent": {"fill": False, "edgecolor": "black", "linewidth": 0.8, "hatch": "////"},
    }
    for panel, sigma in zip(used, sigmas, strict=True):
        lines = []
        for estimator, style in styles.items():
            part = frame[(frame.sigma == sigma) & (frame.estimator == estimator)]
            if len(part):
                panel.bar(part.log10_w, part.share, width, align="edge", label=estimator, **style)
                lines.append(f"{vanishing(part)[sigma]:.1%} {estimator}")
        panel.axvline(VANISHED, 0, 0.62, color="0.4", linewidth=1, linestyle=":")
        if least_ratio:
            least = np.log10(
                2 * least_ratio / (least_ratio + 1)
            )  # w = 2 r / (r + 1) in half-and-half batches
            style = {"color": "black", "linewidth": 1, "label": f"smallest correct ratio, {least_ratio:.2f}"}
            panel.axvline(least, 0, 0.62, **style)
        panel.set_title(rf"$\sigma = {sigma:g}$")
        where = {"xycoords": "axes fraction", "va": "top", "fontsize": "small"}
        panel.annotate("\n".join(["$r$ below 0.01:", *lines]), (0.02, 0.98), **where)
        panel.set(xlabel="weight $w$", ylim=(0, 1.65 * frame.share.max()))  # above the lines stands the text
        panel.tick_params(labelbottom=True)
    seen = frame[frame.share > 0].log10_w
    low = int(np.floor(min(seen.min(), -2.2)))
    ticks = range(low, int(np.ceil(seen.max())) + 1)
    axes[0][0].set_xticks(ticks, [f"$10^{{{tick}}}$" for tick in ticks])
    axes[0][0].set_xlim(low, ticks[-1])
    figure.supylabel("share of the biased images", fontsize="medium")
    lines = axes[0][0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=3, frameon=False)
    sns.despine(figure)
    return close(figure)
