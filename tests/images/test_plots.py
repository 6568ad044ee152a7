"""Figures draw whatever a reader has called the groups and the sets."""

import io

import numpy as np
import pytest

from tiwlib import plots
from tiwlib.plots import data as of_data
from tiwlib.plots import methods as of_methods
from tiwlib.plots.baselines import needs_and_shares
from tiwlib.plots.style import plain

NAMES = ("US$ 5 to US$ 10", r"$\frac{$")  # as text, and as mathematics an error
HALF = np.array([0.5, 0.5])
FEW, MANY = NAMES, tuple(f"{i} {NAMES[i % 2]}" for i in range(of_data.FEW + 1))
EQUAL = np.full(len(MANY), 1 / len(MANY))
CELL = {"mean": [0.5, 0.5], "low": [None, None], "high": [None, None], "seeds": [[0.5, 0.5]]}
BASELINE = {"label": NAMES[1], "requires": NAMES[0], "group_shares": CELL}


@pytest.mark.parametrize(
    "figure",
    [
        lambda: plots.group_shares({NAMES[1]: HALF, "b": HALF}, FEW),
        lambda: plots.image_grid(np.zeros((2, 1, 4, 4), np.uint8), 1, list(NAMES)),
        lambda: of_data.shares_of_sets(dict.fromkeys((*NAMES, "c"), EQUAL), MANY),
        lambda: of_data.use_of_groups(np.array([9, 9]), np.array([5, 3]), {NAMES[1]: np.array([1, 1])}, FEW),
        lambda: of_methods.share_lines({"tiw_dsm": [0.5, 0.5]}, FEW),
        lambda: needs_and_shares({"adp": BASELINE}, FEW, HALF, HALF),
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
