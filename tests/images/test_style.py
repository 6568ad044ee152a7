"""One colour, marker and place for each method, in every figure, for readers of any colour vision."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from tiwlib import plots
from tiwlib.baselines import BASELINES
from tiwlib.objectives import METHODS
from tiwlib.plots.style import METHOD_STYLE, SPARE, style_of
from tiwlib.runs.tables import in_order, run_key, run_label

# Linear RGB as seen without one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def seen(colour: str, vision: str) -> np.ndarray:
    """CIELAB of a colour for that vision."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    f = XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / XYZ.sum(1)
    f = np.where(f > 0.008856, np.cbrt(f), 7.787 * f + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_the_papers_methods_can_be_told_apart(vision):
    """By colour: a difference of 2 can just be seen, pinks that were taken for each other had 13 to 21."""
    colours = [style_of(name)["color"] for name in METHODS]
    for one, other in itertools.combinations(colours, 2):
        least = 20 if vision == "normal" else 15
        assert np.linalg.norm(seen(one, vision) - seen(other, vision)) > least, (one, other)


def test_no_two_methods_share_a_colour_or_a_marker():
    assert set(METHODS) <= set(METHOD_STYLE), "a method has a row of its own"
    styles = [style_of(name) for name in {**METHODS, **BASELINES}]
    for part in ("color", "marker"):
        assert len({str(style[part]) for style in styles}) == len(styles)
    assert len(SPARE) >= len(set(BASELINES) - set(METHOD_STYLE)), "there is one for each"


def test_a_variant_has_its_methods_colour_and_is_hollow():
    own, variant = style_of("dsm_obs"), style_of("dsm_obs_half")
    assert variant == own | {"markerfacecolor": "white"} and "markerfacecolor" not in own


def test_a_method_without_a_row_is_named(monkeypatch):
    monkeypatch.setitem(METHODS, "toy", METHODS["tiw_dsm"])
    with pytest.raises(ValueError, match="method='toy': has no colour; give it a row of METHOD_STYLE"):
        style_of("toy")
    with pytest.raises(ValueError, match="key='nobody': must be a method"):
        style_of("nobody")


# ---------------------------------------------------------------- names


def test_keys_and_labels_of_runs():
    asked = ((None, "plain"), (0.5, "plain"), (0.125, "plain"), (None, "posterior"), (0.5, "posterior"))
    runs = [{"method": "tiw_dsm", "reference_fraction": pi, "ratio": ratio} for pi, ratio in asked]
    names = ["", "_half", "_pi_0_125", "_posterior", "_posterior_half"]
    assert [run_key(params) for params in runs] == [f"tiw_dsm{name}" for name in names]
    assert run_key(runs[3] | {"base_steps": 400.0}) == "tiw_dsm_posterior_base_400"
    assert run_key(runs[3] | {"base_steps": None}) == "tiw_dsm_posterior"
    assert (
        run_label("dsm_obs_half") == "DSM(obs), half"
        and run_label("dsm_obs_pi_0_125") == "DSM(obs), pi 0.125"
    )
    assert run_label("tiw_dsm_alpha_2") == "TIW-DSM, alpha 2"
    keys = ["c_only", "tiw_dsm", "dsm_obs_half", "dsm_obs", "dsm_ref", "tiw_dsm"]
    assert in_order(keys) == ["dsm_ref", "dsm_obs", "dsm_obs_half", "tiw_dsm", "c_only"]


def test_labels_need_no_matplotlib():
    code = "import sys, tiwlib.runs.tables; print('matplotlib' in sys.modules, 'seaborn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# ---------------------------------------------------------------- in every figure

KEYS = ("c_only", "tiw_dsm", "dsm_obs_half", "dsm_ref")
FRAME = pd.DataFrame(
    [
        {"method": key, "seed": seed, "share": 0.3 + i / 10, "closed_form": 0.5, "recall": 0.2 * seed + i, "n": n,
         "alpha": n, "stage": "training", "seconds": 1.0 + i, "peak_memory_mb": 10.0 + i}
        for i, key in enumerate(KEYS) for seed in (0, 1) for n in (1.0, 2.0)
    ]
)  # fmt: skip
MINIMISERS = pd.DataFrame({"name": [*KEYS, "released"], "label": "x", "batches": 0.35, "share": 0.5})
CELL = {"mean": 0.4, "low": 0.3, "high": 0.5, "seeds": [0.3, 0.4, 0.5]}
SHARES = {"mean": [0.6, 0.4], "low": [0.5, 0.3], "high": [0.7, 0.5], "seeds": [[0.6, 0.4]]}
MEASURES = {"label": "x", "requires": "nothing", "fairness_discrepancy": CELL, "group_shares": SHARES}
BASELINE = dict.fromkeys(("adp", "tiw_dsm", "dsm_ref", "c_only", "dsm_bias"), MEASURES)
FIGURES = {
    "comparison": lambda: plots.comparison(FRAME, {"recall": "recall"}),
    "share_lines": lambda: plots.share_lines({key: [0.5, 0.5] for key in KEYS}, ("a", "b")),
    "against": lambda: plots.against(FRAME, "n", "n", {"recall": "recall"}),
    "trade_off": lambda: plots.trade_off(FRAME, "recall", "share", ("recall", "share")),
    "differences": lambda: plots.differences(FRAME[FRAME.n == 1], "dsm_obs_half", {"recall": "recall"}),
    "shares_by_objective": lambda: plots.shares_by_objective(FRAME, 0.5, 0.35),
    "shares_of_minimisers": lambda: plots.shares_of_minimisers(MINIMISERS, 0.5),
    "all_problems": lambda: plots.all_problems({"gmm": BASELINE}),
    "needs_and_shares": lambda: plots.needs_and_shares(
        BASELINE, ("a", "b"), np.array([0.9, 0.1]), np.full(2, 0.5)
    ),
}


def looks(figure) -> set[tuple[str, str]]:
    """Colour and marker of every line with markers in a figure."""
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    return {(to_hex(line.get_color()).upper(), line.get_marker()) for line in lines}


@pytest.mark.parametrize("name", FIGURES)
def test_a_method_looks_the_same_in_every_figure(name):
    found = looks(FIGURES[name]())
    for key in ("tiw_dsm", "dsm_ref", "c_only"):
        style = style_of(key)
        assert (style["color"].upper(), style["marker"]) in found, key


def test_a_baseline_has_its_own_look():
    style = style_of("adp")
    assert (style["color"].upper(), style["marker"]) in looks(FIGURES["all_problems"]())


def test_a_sweep_over_methods_has_their_looks():
    frame = pd.DataFrame(
        {"x": [1.0, 1.0, 1.0], "y": [1, 2, 3], "v": ["IW-DSM (integral)", "TIW-DSM", "exact ratio"]}
    )
    found = looks(plots.sweep(frame, "x", {"y": "y"}, "x", "v"))
    for key in ("iw_dsm", "tiw_dsm"):
        style = style_of(key)
        assert (style["color"].upper(), style["marker"]) in found
    assert len({colour for colour, marker in found}) == 3


@pytest.mark.parametrize("name", ["comparison", "differences"])
def test_rows_are_in_the_order_of_the_methods(name):
    figure = FIGURES[name]()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    expected = [run_label(key) for key in in_order(KEYS)]
    if name == "differences":
        expected = [f"{label} minus DSM(obs), half" for label in expected if label != "DSM(obs), half"]
    assert labels == expected
