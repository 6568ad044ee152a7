"""Every figure's drawing. A function takes data and returns the figure; the notebook shows and records it."""

from tiwlib.plots.ablations import scatter, shares_of_minimisers, sweep, variants
from tiwlib.plots.baselines import (
    all_problems,
    baseline_table,
    fairness_and_quality,
    first_samples,
    needs_and_shares,
)
from tiwlib.plots.data import (
    group_shares,
    image_grid,
    read_first,
    samples_by_group,
    save_examples,
    save_first,
    shares_of_sets,
    side_by_side,
    use_of_groups,
)
from tiwlib.plots.decided import decided
from tiwlib.plots.methods import as_table, comparison, distance_table, share_lines, training_loss
from tiwlib.plots.ratio import (
    RATIO_LABELS,
    along_shift,
    calibration,
    fit_history,
    ratio_error_against_sigma,
    weights,
)
from tiwlib.plots.sweeps import against, differences, trade_off
from tiwlib.plots.two_d import log_ratios, samples_2d, scores_and_ratio, shares_by_objective

__all__ = [
    "RATIO_LABELS",
    "against",
    "all_problems",
    "along_shift",
    "as_table",
    "baseline_table",
    "calibration",
    "comparison",
    "decided",
    "differences",
    "distance_table",
    "fairness_and_quality",
    "first_samples",
    "fit_history",
    "group_shares",
    "image_grid",
    "log_ratios",
    "needs_and_shares",
    "ratio_error_against_sigma",
    "samples_2d",
    "samples_by_group",
    "save_examples",
    "read_first",
    "save_first",
    "scatter",
    "scores_and_ratio",
    "share_lines",
    "shares_by_objective",
    "shares_of_minimisers",
    "shares_of_sets",
    "side_by_side",
    "sweep",
    "trade_off",
    "training_loss",
    "use_of_groups",
    "variants",
    "weights",
]
