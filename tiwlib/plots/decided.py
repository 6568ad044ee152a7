"""Where the group of a sample is decided, beside the noise levels of training and sampler."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tiwlib.noise import LogNormal, sampling_grid
from tiwlib.plots.style import close


def decided(curve: pd.DataFrame, noise_distribution: LogNormal, sigma_data: float, steps: int = 18) -> Figure:
    """The information about the group against sigma, over the density of the training's levels and the sampler's.

    curve: columns sigma, information, accuracy, as from measures.decided.information.
    """
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.4, 4.0), sharex=True, height_ratios=(2, 1))
    top.plot(
        curve.sigma, curve.information, "o-", color="C0", markersize=3, label="information about the group"
    )
    top.plot(curve.sigma, curve.accuracy, "--", color="C1", label="accuracy of the oracle")
    top.set(ylim=(0, 1.05), ylabel="share of log G,\nor accuracy")
    top.legend(frameon=False)
    sigma = np.geomspace(curve.sigma.min(), curve.sigma.max(), 200)
    z = (np.log(sigma) - noise_distribution.P_mean) / noise_distribution.P_std
    bottom.fill_between(sigma, np.exp(-(z**2) / 2), color="0.85", label="levels in training (density)")
    grid = sampling_grid(steps, sigma_data)[:-1].numpy()
    inside = grid[(grid >= sigma[0]) & (grid <= sigma[-1])]
    bottom.plot(
        inside, np.full_like(inside, 0.08), "|", color="black", markersize=10, label="levels of the sampler"
    )
    bottom.set(xscale="log", xlabel=r"noise level $\sigma$", yticks=[], ylim=(0, 1.9))
    bottom.legend(frameon=False, ncols=2, loc="upper center")
    sns.despine(figure)
    return close(figure)
