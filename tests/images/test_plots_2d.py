"""Figures of the 2-D example and of its variants: scales, units, intervals."""

import numpy as np
import pytest
import torch
from matplotlib.contour import ContourSet
from matplotlib.quiver import Quiver

from tiwlib import plots
from tiwlib.gaussians import EXACT_RATIO


def test_fields_of_a_kind_have_one_scale_of_colours_and_one_of_arrows():
    """Two panels of one colour show one value, and two arrows of one length too."""
    both = plots.scores_and_ratio(EXACT_RATIO), plots.log_ratios({"exact": EXACT_RATIO, "learned": Flat()})
    panels = [panel for figure in both for panel in figure.axes]
    fields = [(c, q) for panel in panels for c in _of(panel, ContourSet) for q in _of(panel, Quiver)]
    assert len(fields) == 3 * 3 + 3 * 2
    for kind, count in (("Blues", 6), ("PuOr_r", 9)):
        of_kind = [(c.norm.vmin, c.norm.vmax, q.scale) for c, q in fields if c.get_cmap().name == kind]
        assert len(of_kind) == count and len(set(of_kind)) == 1


class Flat:
    def log_ratio(self, x, sigma):
        return 0 * x.sum(1)


def _of(panel, kind):
    return [child for child in panel.get_children() if isinstance(child, kind)]


def test_arrows_are_in_units_of_a_modes_width():
    """The longest gradient of log r at sigma 1, half way: between the modes, times sqrt 2."""
    figure = plots.log_ratios({"exact": EXACT_RATIO})
    quiver = _of(figure.axes[1], Quiver)[0]
    middle = np.flatnonzero((np.abs(quiver.XY) < 1e-6).all(1))
    gradient = EXACT_RATIO.grad_log_ratio(torch.zeros(1, 2), torch.ones(1))[0]
    drawn = np.array([quiver.U, quiver.V])[:, middle[0]]
    assert drawn == pytest.approx(2**0.5 * gradient.numpy(), rel=1e-5)
