"""One style for every figure, readable in grey."""

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

sns.set_theme(context="paper", style="ticks", palette="colorblind", font_scale=1.1)
plt.rcParams.update({"figure.constrained_layout.use": True, "axes.grid": False, "axes.titlesize": "medium"})


def close(figure: Figure) -> Figure:
    """Take the figure out of pyplot's hands, so that a notebook shows it once, where it is the cell's value."""
    plt.close(figure)
    return figure


def plain(text: str) -> str:
    """Text as it stands, for names that a reader has given: between two $ matplotlib would read mathematics."""
    return text.replace("$", r"\$")
