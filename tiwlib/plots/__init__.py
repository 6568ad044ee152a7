"""Every figure's drawing. A function takes data and returns the figure; the notebook shows and records it."""

from tiwlib.plots.data import group_shares, image_grid, shares_of_sets, use_of_groups
from tiwlib.plots.methods import as_table, comparison, in_order, run_label, share_lines, training_loss
from tiwlib.plots.plane import samples_2d, scores_and_ratio, shares_by_objective
from tiwlib.plots.ratio import calibration, fit_history, ratio_error_against_sigma, stopping
from tiwlib.plots.siblings import all_problems, needs_and_shares, sibling_table

__all__ = [
    "all_problems",
    "as_table",
    "calibration",
    "comparison",
    "fit_history",
    "group_shares",
    "image_grid",
    "in_order",
    "needs_and_shares",
    "ratio_error_against_sigma",
    "run_label",
    "samples_2d",
    "scores_and_ratio",
    "share_lines",
    "shares_by_objective",
    "shares_of_sets",
    "sibling_table",
    "stopping",
    "training_loss",
    "use_of_groups",
]
