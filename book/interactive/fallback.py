"""Draws fallback.png, the still picture of the interactive 2-D figure, for readers without scripts.

Run from the root of the repository: python book/interactive/fallback.py
"""

from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

from tiwlib.gaussians import MODES, P_BIAS, P_DATA, SIGMA_DATA, minority_share
from tiwlib.noise import sampling_grid
from tiwlib.sampling import heun, starting_noise

PARTICLES, STEPS, EXTENT, CELLS = 2000, 40, 6.0, 11
COLOURS = ("#0072b2", "#d55e00")  # ends at the majority, at the minority


def window(n: int) -> torch.Tensor:
    """n x n points of the window, (n * n, 2), rows from the bottom."""
    axis = (torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 * EXTENT - EXTENT
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def panel(axes, density, title: str, noise: torch.Tensor) -> None:
    """One method at sigma = 0: the density and score of its minimiser, and the particles that end there."""
    grid = sampling_grid(STEPS, SIGMA_DATA, dtype=torch.float64)
    x = heun(density, noise * grid[0], grid)
    minority = x.sum(1) > 0
    shade, arrows = window(100), window(CELLS)
    values = density.log_prob(shade, shade.new_zeros(len(shade))).exp().reshape(100, 100)
    bounds = (-EXTENT, EXTENT, -EXTENT, EXTENT)
    axes.imshow(values, origin="lower", extent=bounds, cmap="Greys", vmax=2 * values.max())
    for points, marker, colour in ((x[~minority], "o", COLOURS[0]), (x[minority], "^", COLOURS[1])):
        axes.plot(*points.T, marker, color=colour, markersize=2, markeredgewidth=0, alpha=0.6)
    score = density.score(arrows, arrows.new_zeros(len(arrows)))
    longest = score.norm(dim=1).max() / (2 * EXTENT / CELLS)
    style = {"angles": "xy", "scale_units": "xy", "scale": float(longest), "pivot": "mid", "width": 0.005}
    axes.quiver(*arrows.T, *score.T, **style)
    axes.plot(*np.transpose(MODES), "+", color="black", markersize=10)
    axes.set(
        xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), xticks=(-5, 0, 5), yticks=(-5, 0, 5), aspect="equal"
    )
    axes.set(xlabel="$x_1$", ylabel="$x_2$", title=title)
    share = f"{100 * minority_share(x):.1f} %"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 3}
    axes.text(0.02, 0.97, share, transform=axes.transAxes, fontsize=20, weight="bold", va="top", bbox=box)


def main() -> None:
    noise = starting_noise(range(PARTICLES), (2,), seed=1).double()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
    panel(left, P_BIAS.mix(P_DATA, 0.5), r"DSM(obs): $\nabla\log p_{\rm batch}$", noise)
    panel(
        right, P_DATA, r"TIW-DSM: $\nabla\log p_{\rm batch} + \nabla\log w = \nabla\log p_{\rm data}$", noise
    )
    figure.suptitle(
        "From the same noise, how many particles reach the minority’s mode (orange)?", fontsize=12
    )
    figure.savefig(picture := BytesIO(), dpi=110)
    # 64 colours are enough for greys and two hues, and keep the file small
    Image.open(picture).convert("RGB").quantize(64).save(
        Path(__file__).with_name("fallback.png"), optimize=True
    )


if __name__ == "__main__":
    main()
