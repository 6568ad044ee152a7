"""Figures draw whatever a reader has called the groups and the sets."""

import io

import numpy as np
import pandas as pd
import pytest
import torch

from tiwlib import plots
from tiwlib.closed_form import One
from tiwlib.gaussians import MODES, SHIFT, TWO_D_PAIRS
from tiwlib.measures import two_d
from tiwlib.measures.intervals import ANY, UNIT, mean_interval
from tiwlib.plots import data as of_data
from tiwlib.plots import methods as of_methods
from tiwlib.plots.baselines import QUALITY, needs_and_shares
from tiwlib.plots.style import WIDTH, mean_and_bar, panels, plain
from tiwlib.runs.tables import vanishing

NAMES = ("US$ 5 to US$ 10", r"$\frac{$")  # as text, and as mathematics an error
HALF = np.array([0.5, 0.5])
FEW, MANY = NAMES, tuple(f"{i} {NAMES[i % 2]}" for i in range(of_data.FEW + 1))
EQUAL = np.full(len(MANY), 1 / len(MANY))
CELL = {"mean": [0.5, 0.5], "low": [None, None], "high": [None, None], "seeds": [[0.5, 0.5]]}
BASELINE = {"label": NAMES[1], "requires": NAMES[0], "group_shares": CELL}
NUMBERS = {name: {"mean": 0.25, "seeds": [0.2, 0.3]} for name in QUALITY}


@pytest.mark.parametrize(
    "figure",
    [
        lambda: plots.group_shares({NAMES[1]: HALF, "b": HALF}, FEW),
        lambda: plots.image_grid(np.zeros((2, 1, 4, 4), np.uint8), 1, list(NAMES)),
        lambda: of_data.shares_of_sets(dict.fromkeys((*NAMES, "c"), EQUAL), MANY),
        lambda: of_data.use_of_groups(np.array([9, 9]), np.array([5, 3]), {NAMES[1]: np.array([1, 1])}, FEW),
        lambda: of_methods.share_lines({"tiw_dsm": [0.5, 0.5]}, FEW),
        lambda: needs_and_shares({"adp": BASELINE}, FEW, HALF, HALF),
        lambda: plots.fairness_and_quality({"adp": BASELINE | NUMBERS}),
    ],
)
def test_names_with_dollars_are_drawn(figure):
    figure().savefig(io.BytesIO())


def test_examples_of_groups_with_dollars_are_drawn(tmp_path):
    images, groups = np.zeros((4, 1, 4, 4), np.uint8), np.array([0, 0, 1, 1])
    of_data.save_examples(images, groups, 2, tmp_path / "examples.png")
    of_data.samples_by_group({"tiw_dsm": tmp_path / "examples.png"}, FEW).savefig(io.BytesIO())


@pytest.mark.parametrize("name", NAMES)
def test_plain_text_is_drawn_as_it_stands(name):
    """What matplotlib finds in it is text, and that text is the name."""
    from matplotlib.text import Text

    text, is_mathematics = Text()._preprocess_math(plain(name))
    assert not is_mathematics and text == name


def test_a_comparison_draws_intervals_of_four_runs_and_more_within_the_range():
    """Three runs have none; one of a recall ends at 1."""
    values = {"tiw_dsm": [0.9, 0.99, 0.97, 0.6], "dsm_obs": [0.5, 0.6, 0.7]}
    rows = [{"method": key, "recall": value} for key, part in values.items() for value in part]
    figure = of_methods.comparison(pd.DataFrame(rows), {"recall": "recall (more is better)"})
    (panel,) = figure.axes
    (bar,) = [line for line in panel.collections if len(line.get_segments())]
    (segment,) = bar.get_segments()
    mean, low, _ = mean_interval(values["tiw_dsm"])
    assert segment[:, 0] == pytest.approx([low, 1.0]) and segment[0, 1] > 1, (
        "in the row of tiw_dsm, a little below"
    )
    assert panel.get_xlabel() == "recall\n(more is better)"


def test_a_bar_is_students_from_four_runs_on_and_stays_in_the_range_of_its_quantity():
    half = 3.182446 * (5 / 3) ** 0.5 / 2  # t(0.975, 3) s / sqrt(n)
    assert mean_and_bar([1.0, 2.0, 3.0, 4.0], ANY) == pytest.approx((2.5, half, half), rel=1e-6)
    assert mean_and_bar([0.9, 0.99, 0.97, 0.6], UNIT)[2] == pytest.approx(1 - 0.865)
    assert mean_and_bar([1.0, 2.0, 4.5], ANY) == pytest.approx((2.5, 1.5, 2.0)), "the least and the most"
    assert mean_and_bar([4.0], ANY) == (4, 0, 0)
    assert np.mean([0.1] * 3) > 0.1 and mean_and_bar([0.1] * 3, UNIT)[2] == 0, "a bar is never negative"


def bars_of(panel):
    """Both ends of all error bars of a panel, along the axis on which they lie: (low, high) in order of drawing."""
    segments = [segment for bars in panel.collections for segment in bars.get_segments() if len(segment)]
    along = [0 if segment[0, 1] == segment[1, 1] else 1 for segment in segments]
    return [tuple(segment[:, axis]) for segment, axis in zip(segments, along, strict=True)]


def test_no_bar_of_a_sweep_leaves_the_range_of_its_measure():
    """Student's interval of two seeds far apart would end at a recall of 1.5, and begin at a variation below 0."""
    pairs = {"tiw_dsm": ((0.8, 0.1), (0.9, 0.3)), "w_only": ((0.1, 0.9), (0.4, 0.95))}
    rows = [
        {"method": key, "seed": seed, "alpha": alpha, "recall": recall, "total_variation": variation}
        for key, of_seeds in pairs.items()
        for seed, (recall, variation) in enumerate(of_seeds * 2)
        for alpha in (0.5, 1.0)
    ]
    four, measures = pd.DataFrame(rows), {"recall": "recall", "total_variation": "total variation"}
    for frame in (four, four[four.seed < 2]):
        axes = plots.against(frame, "alpha", "power", measures).axes
        axes += plots.trade_off(frame, *measures, tuple(measures.values())).axes
        ends = [end for panel in axes for bar in bars_of(panel) for end in bar]
        assert len(ends) == 2**5, "two figures, methods, powers and measures; two ends"
        assert min(ends) >= 0 and max(ends) <= 1
    assert bars_of(plots.against(four[four.seed < 2], "alpha", "power", measures).axes[0])[0] == (0.8, 0.9)


def test_the_interval_of_a_difference_is_drawn_from_four_pairs_on():
    """Fewer have their marks and the mean. A difference of two shares lies between -1 and 1."""
    high = 3.182446 * (1 / 3) ** 0.5 / 2 - 0.5  # mean + t(0.975, 3) s / sqrt(n); the low end would be -1.4
    for seeds, expected in (([0.0, 1.0], []), ([0.0, 1.0, 0.0, 1.0], [(-1.0, high)])):
        rows = [{"method": "tiw_dsm", "seed": i, "recall": 1.0} for i in range(len(seeds))]
        rows += [{"method": "w_only", "seed": i, "recall": v} for i, v in enumerate(seeds)]
        (panel,) = plots.differences(pd.DataFrame(rows), "tiw_dsm", {"recall": "recall"}).axes
        assert bars_of(panel) == [pytest.approx(bar, abs=1e-6) for bar in expected]
        (marks,) = [line for line in panel.lines if len(line.get_xdata()) == len(seeds) and line.get_alpha()]
        assert marks.get_xdata().tolist() == [v - 1 for v in seeds]


def test_the_distances_of_a_set_are_told_with_their_scatter():
    """A negative kernel distance stands beside its deviation and the size of its subsets."""
    cell = {"frechet": 8.538, "kernel_distance": -204.149, "kernel_distance_std": 341.894}
    cell |= {"kernel_distance_subset_size": 25, "precision": 1.0, "recall": 0.951}
    table = plots.distance_table({"reference": cell})
    assert table.loc["reference"].tolist() == ["8.54", "-204 +- 342 (subsets of 25)", "1.000", "0.951"]
    fid = {
        name.replace("frechet", "fid").replace("kernel_distance", "kid"): value
        for name, value in cell.items()
    }
    assert list(plots.distance_table({"reference": fid})) == ["FID", "KID", "precision", "recall"]


@pytest.mark.parametrize("least", [None, 0.25])
def test_the_smallest_correct_ratio_is_a_line_at_its_weight(least):
    """In half-and-half batches w = 2 r / (r + 1): 0.4 for a ratio of a quarter."""
    frame = pd.DataFrame(
        {"estimator": "time-independent", "sigma": 0.0, "log10_w": [-1.0, -0.9], "share": [0.5, 0.5]}
    )
    (panel,) = plots.weights(frame, least).axes
    lines = [line for line in panel.lines if "smallest correct ratio" in str(line.get_label())]
    assert [line.get_xdata()[0] for line in lines] == (
        [] if least is None else [pytest.approx(np.log10(0.4))]
    )


def test_the_ratios_below_a_hundredth_are_those_of_the_table():
    """The bin that begins at log10 w = -1.7 is not among them, though its edge is rounded."""
    rows = [(-1.9, 0.125), (-1.8, 0.25), (np.nextafter(-1.7, -2), 0.5), (-1.6, 0.125)]
    frame = pd.DataFrame(rows, columns=["log10_w", "share"]).assign(estimator="time-dependent", sigma=0.3)
    assert vanishing(frame) == {0.3: 0.375}
    (panel,) = plots.weights(frame).axes
    (text,), (line,) = panel.texts, panel.lines
    assert text.get_text() == "$r$ below 0.01:\n37.5% time-dependent"
    assert line.get_xdata()[0] == pytest.approx(np.log10(0.01 / (0.5 * 0.01 + 0.5)), abs=0.005)


def test_each_panel_of_the_weights_has_its_ticks_and_no_line_crosses_its_text():
    rows = [("time-dependent", sigma, at, 0.5) for sigma in range(5) for at in (-1.0, -0.9)]
    rows += [("time-independent", 0, at, 0.5) for at in (-1.0, -0.9)]  # a third line of text
    frame = pd.DataFrame(rows, columns=["estimator", "sigma", "log10_w", "share"])
    figure = plots.weights(frame, 0.25)
    figure.canvas.draw()
    for panel in figure.axes[:5]:
        assert all(tick.label1.get_visible() for tick in panel.xaxis.get_major_ticks())
        (text,) = panel.texts
        low = text.get_window_extent().y0
        assert all(line.get_window_extent().y1 < low for line in panel.lines)
        assert all(bar.get_window_extent().y1 < low for bar in panel.patches)


def test_examples_of_groups_leave_no_gap_between_their_rows(tmp_path):
    groups = np.arange(10).repeat(8)
    of_data.save_examples(np.zeros((80, 1, 4, 4), np.uint8), groups, 10, tmp_path / "examples.png")
    keys = (
        "dsm_ref",
        "dsm_obs",
        "iw_dsm",
        "tiw_dsm",
        "w_only",
        "c_only",
        "dsm_obs_half",
    )  # in rows of four and three
    figure = of_data.samples_by_group(dict.fromkeys(keys, tmp_path / "examples.png"), MANY[:10])
    assert figure.get_size_inches()[1] < 2 * (WIDTH / 4 * 10 / of_data.EXAMPLES + 0.4), (
        "two grids and their titles"
    )


def ratio_errors():
    """Two seeds whose clean errors differ tenfold; the time-dependent error halves, or falls to a tenth, in time."""
    rows = []
    for seed, clean in ((0, 1.0), (1, 10.0)):
        for i, t in enumerate((0.25, 0.75)):
            row = {"seed": seed, "t": t, "lengths": "both"}
            rows.append({**row, "estimator": "time-independent", "error": clean})
            rows.append({**row, "estimator": "time-dependent", "error": clean * (0.5, 0.1)[i]})
    return pd.DataFrame(rows)


def test_the_area_below_the_curve_is_the_number_beside_it():
    """Every seed counts alike, whatever the size of its errors: the ratio of mean errors is another number."""
    errors = ratio_errors()
    errors.loc[(errors.seed == 1) & (errors.estimator == "time-dependent"), "error"] *= 2
    shares = two_d.error_shares(errors)
    assert shares.share.tolist() == pytest.approx([0.3, 0.6])
    assert shares.at_zero.tolist() == pytest.approx([0.5, 1.0])
    panel = plots.ratio_error_against_sigma(errors).axes[0]
    curve = next(
        line for line in panel.lines if len(line.get_xdata()) == 2 and line.get_label()[:5] == "time-"
    )
    area = np.mean(curve.get_ydata())  # two midpoints of steps of one half
    assert area == pytest.approx(shares.share.mean()) and panel.get_title() == f"both: {area:.2f}"


def test_the_line_along_a_shift_goes_through_the_mode():
    pair = TWO_D_PAIRS["within_modes"]
    panel = plots.along_shift({"exact": pair, "one": One()}, MODES[0], SHIFT).axes[0]
    exact, one = (line.get_ydata() for line in panel.lines)
    middle = pair.log_ratio(torch.tensor([MODES[0]]), torch.zeros(1)).item()
    assert exact[60] == pytest.approx(middle) and (one == 0).all()
    assert exact[0] > middle > exact[-1], "the biased mode is ahead, where r is small"


def test_fairness_stands_beside_the_quality_that_it_is_read_from():
    """A panel for each measure, with each method's mean as a bar and its seeds as marks; shares on the whole range."""
    methods = {name: BASELINE | {"label": name} | NUMBERS for name in ("dsm_bias", "adp")}
    methods["adp"] = methods["adp"] | {"recall": {"mean": 0.5, "seeds": [0.4, 0.6]}}
    panels = plots.fairness_and_quality(methods).axes
    titles = [panel.get_xlabel().split()[0] for panel in panels]
    assert titles == ["fairness", "Frechet", "precision", "recall"]
    recall = panels[3]
    assert [bar.get_width() for bar in recall.patches] == [0.25, 0.5] and recall.get_xlim() == (0, 1)
    assert [list(line.get_xdata()) for line in recall.lines] == [[0.2, 0.3], [0.4, 0.6]]


def test_panels_stand_in_even_rows_of_a_columns_width():
    """Nothing that an unused place would hide: the panel above it has the numbers of its axis."""
    figure, axes, used = panels(5, 3, 2.0, sharex=True)
    assert axes.shape == (2, 3) and len(used) == 5 and tuple(figure.get_size_inches()) == (WIDTH, 4.0)
    assert not axes[1, 2].axison and axes[0, 2].xaxis.get_tick_params()["labelbottom"]
    assert panels(8, 5, 1.0)[1].shape == (2, 4), "not five and three"


def test_no_figure_is_wider_than_a_column():
    """A wider one is scaled down on a page, and its text becomes too small."""
    every = {name: BASELINE | {"label": name} | NUMBERS for name in ("dsm_bias", "adp")}
    rows = [
        {"method": "tiw_dsm", "seed": s, "split": "a"} | dict.fromkeys("abcdef", 0.1 * s) for s in range(4)
    ]
    labels = dict.fromkeys("abcdef", "a label of some length (0 is fair)")
    drawn = [
        plots.fairness_and_quality(every),
        plots.all_problems(dict.fromkeys(("gmm", *"abcdef"), every)),
        plots.comparison(pd.DataFrame(rows), labels),
        plots.image_grid(np.zeros((40, 1, 8, 8), np.uint8), 16),
        plots.share_lines({"tiw_dsm": [0.05] * 20}, tuple("abcdefghijklmnopqrst")),
    ]
    assert all(figure.get_size_inches()[0] <= WIDTH for figure in drawn)


@pytest.mark.parametrize(("step", "said"), [(0, "computed, without steps"), (1500, "after 1,500 steps")])
def test_a_ratio_that_is_looked_at_once_is_a_point_and_no_empty_panel(step, said):
    history = pd.DataFrame({"step": [step], "train_loss": [np.nan], "heldout_loss": [0.6]})
    (panel,) = plots.fit_history({"time_dependent": history}, {"time_dependent": step}).axes
    (point,) = (line for line in panel.lines if line.get_label() == "held out")
    assert point.get_marker() == "o" and point.get_ydata().tolist() == [0.6]
    assert panel.get_xlabel() == said


@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_record_keeps_of_its_samples_is_read_as_it_was(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (of_data.FIRST + 7, channels, 8, 8), np.uint8)
    plots.save_first(images, tmp_path / "samples.png")
    assert np.array_equal(plots.read_first(tmp_path / "samples.png", 8), images[: of_data.FIRST])
