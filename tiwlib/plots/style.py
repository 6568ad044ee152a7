"""One style for every figure: a method has one colour, one marker and one line everywhere, and all are told apart."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tiwlib.measures.intervals import ANY, BOUNDS, FEW, clipped, mean_interval
from tiwlib.objectives import METHODS
from tiwlib.runs.tables import method_of

sns.set_theme(context="paper", style="ticks", palette="colorblind", font_scale=1.1)
plt.rcParams.update({"figure.constrained_layout.use": True, "axes.grid": False, "axes.titlesize": "medium"})

# Inches: a column of the book. A wider figure is scaled down there, and its text becomes too small.
WIDTH = 7.4

# Colour, marker and line of each method; the colours are Okabe and Ito's, for readers of any colour vision.
METHOD_STYLE = {
    "dsm_ref": ("#009E73", "s", "--"),
    "dsm_obs": ("#000000", "o", ":"),
    "iw_dsm": ("#D55E00", "D", "-."),
    "tiw_dsm": ("#0072B2", "^", "-"),
    "w_only": ("#E69F00", "v", (0, (5, 1))),
    "c_only": ("#CC79A7", "P", (0, (1, 1))),
    "dsm_bias": ("#56B4E9", "X", (0, (3, 1, 1, 1))),
}
# For the other baselines, in the order of their registry: as far from each other and from those above as can be had.
SPARE = (
    ("#1414CC", "<"), ("#593109", ">"), ("#52CC70", "p"), ("#513A59", "h"), ("#CC1442", "d"), ("#85CCA8", "*"),
    ("#6C3380", "8"), ("#090959", "H"), ("#8A8A3C", "x"), ("#7F7F7F", "+"),
)  # fmt: skip


def style_of(key: str) -> dict:
    """color, marker and linestyle of a method, for matplotlib; a variant of a method has its colour, and is hollow.

    key: a name of objectives.METHODS or baselines.BASELINES, or "<method>_<variant>". A method that has no row in
    METHOD_STYLE, and another name, is a ValueError.
    """
    if key in METHOD_STYLE:
        name = key
    elif key in (others := _others()):
        colour, marker = SPARE[others.index(key)]
        return {"color": colour, "marker": marker, "linestyle": "-"}
    else:
        name = method_of(key)
    if name not in METHOD_STYLE:
        raise ValueError(f"method={name!r}: has no colour; give it a row of METHOD_STYLE in plots/style.py")
    colour, marker, line = METHOD_STYLE[name]
    hollow = {} if key == name else {"markerfacecolor": "white"}
    return {"color": colour, "marker": marker, "linestyle": line, **hollow}


def style_of_label(label: str, row: int) -> dict:
    """The style of the method that a label begins with, or of the row where it begins with none."""
    keys = [
        key for key in METHODS if label == METHODS[key].label or label.startswith(f"{METHODS[key].label} ")
    ]
    if keys:
        return style_of(keys[0])
    return {"color": f"C{row}", "marker": "osD^vPX"[row % 7], "linestyle": ("-", "--", ":", "-.")[row % 4]}


def _others() -> list[str]:
    """The baselines without a row above."""
    # Here, for it takes a second and `import tiwlib.plots` needs none of it.
    from tiwlib.baselines import BASELINES

    return [name for name in BASELINES if name not in METHOD_STYLE]


def mean_and_bar(values, limits: tuple[float, float]) -> tuple[float, float, float]:
    """Mean of repeated runs, and how far below and above it the bar goes in a figure.

    That is Student's 95 % interval within `limits`, the range of the quantity; of fewer than four runs the bar goes
    from the least to the most.
    """
    values = np.asarray(values, dtype=float)
    mean = values.mean()
    few = len(values) < FEW
    low, high = (values.min(), values.max()) if few else clipped(mean_interval(values)[1:], limits)
    return mean, max(0.0, mean - low), max(0.0, high - mean)  # a mean is rounded, and may lie beyond an end


def means_and_bars(frame: pd.DataFrame, x: str, measure: str) -> tuple[list, np.ndarray, np.ndarray]:
    """The values of the column x, the mean of a measure at each (n,), and its bars below and above (2, n)."""
    groups = frame.dropna(subset=[measure]).groupby(x)[measure]
    bars = [mean_and_bar(values, BOUNDS.get(measure, ANY)) for _, values in groups]
    means, *ends = np.reshape(bars, (-1, 3)).T
    return [at for at, _ in groups], means, np.array(ends)


def panels(number: int, most: int, height: float, **options) -> tuple[Figure, np.ndarray, list[plt.Axes]]:
    """A figure of a column's width with `number` panels in even rows of at most `most`, `height` inches a row.

    options: of plt.subplots. Returns the figure, all axes (rows, columns), and those in use, in order.
    """
    rows = -(-number // most)
    columns = -(-number // rows)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows), squeeze=False, **options)
    for at, panel in enumerate(axes.flat[number:], number):
        panel.set_axis_off()
        axes.flat[at - columns].tick_params(labelbottom=True)  # nothing stands below it
    return figure, axes, list(axes.flat[:number])


def close(figure: Figure) -> Figure:
    """Take the figure out of pyplot's hands, so that a notebook shows it once, where it is the cell's value."""
    plt.close(figure)
    return figure


def plain(text: str) -> str:
    """Text as it stands, for names that a reader has given: between two $ matplotlib would read mathematics."""
    return text.replace("$", r"\$")


def in_lines(label: str) -> str:
    """The label of an axis in two lines, the second with what stands in brackets: "recall (more is better)"."""
    return label.replace(" (", "\n(", 1)
