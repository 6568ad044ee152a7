"""Images, and the shares of their groups."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from tiwlib.plots.style import WIDTH, close, panels, plain, style_of_label
from tiwlib.runs.tables import run_label

FEW = 20  # groups that can still be told apart by name


def image_grid(images: np.ndarray, columns: int = 10, titles: list[str] | None = None) -> Figure:
    """uint8 images (N, C, H, W) in rows of `columns`; titles name the rows."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 1.06 * rows * WIDTH / columns), squeeze=False)
    for panel in axes.flat:
        panel.set(xticks=[], yticks=[])
        sns.despine(ax=panel, left=True, bottom=True)
    for panel, image in zip(axes.flat, images, strict=False):
        grey = len(image) == 1
        panel.imshow(
            image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=255
        )
    for panel, title in zip(axes[:, 0], titles or (), strict=False):
        panel.set_ylabel(plain(title), rotation=0, ha="right", va="center")
    return close(figure)


# Sets of images: neutral colours, for the others are the methods'.
SET_COLOURS = {"biased set": "0.45", "reference set": "0.8", "all images": "#D9C8A0"}


def group_shares(
    shares: dict[str, np.ndarray], names: tuple[str, ...], intervals: dict | None = None
) -> Figure:
    """Bars of the share of each group, a colour for each set. intervals: (G, 2) by set, drawn as error bars.

    "samples of <method>" have the method's colour.
    """
    figure, axes = plt.subplots(figsize=(min(WIDTH, max(5.0, 0.75 * len(names))), 3.0))
    width = 0.8 / len(shares)
    hatches = ("", "///", "...", "xxx")
    for i, (label, values) in enumerate(shares.items()):
        at = np.arange(len(names)) + (i - (len(shares) - 1) / 2) * width
        colour = SET_COLOURS.get(label) or style_of_label(label.removeprefix("samples of "), i)["color"]
        style = {"color": colour, "hatch": hatches[i % 4], "edgecolor": "white", "label": plain(label)}
        bounds = (intervals or {}).get(label)
        bars = None if bounds is None else np.abs(np.asarray(bounds).T - values)
        axes.bar(at, values, width, yerr=bars, error_kw={"linewidth": 1, "capsize": 2}, **style)
    axes.set_xticks(
        range(len(names)), [plain(name) for name in names], rotation=0 if max(map(len, names)) < 4 else 30
    )
    axes.set(xlabel="group", ylabel="share of images")
    axes.legend(frameon=False)
    sns.despine(figure)
    return close(figure)


def shares_of_sets(shares: dict[str, np.ndarray], names: tuple[str, ...]) -> Figure:
    """Share of each group in three sets. shares: (G,) by set; bars for few groups, lines for many."""
    if len(names) <= FEW:
        return group_shares(shares, names)
    figure, axes = plt.subplots(figsize=(6.4, 3.0))
    styles = (("-", 5), ("-", 1.5), ("--", 1.5))  # where two are equal, both can be seen
    for (line, width), (label, values) in zip(styles, shares.items(), strict=True):
        style = {"color": SET_COLOURS.get(label, "0.6"), "linestyle": line, "linewidth": width}
        axes.plot(values, drawstyle="steps-mid", label=plain(label), **style)
    axes.set(xlabel=plain(f"group, from {names[0]} to {names[-1]}"), ylabel="share of images", ylim=(0, None))
    axes.legend(frameon=False)
    sns.despine(figure)
    return close(figure)


def use_of_groups(
    sizes: np.ndarray, biased: np.ndarray, references: dict[str, np.ndarray], names: tuple[str, ...]
) -> Figure:
    """A bar for each group, its images in the order of the draw: nested reference sets, unused, biased.

    sizes, biased: images in each group and in its biased part (G,); references: the same by label, ascending
    """
    figure, axes = plt.subplots(figsize=(6.4, 1.2 + min(0.25 * len(names), 3)))
    rows, before = np.arange(len(names)), np.zeros(len(names))
    style = {"height": 0.8 if len(names) <= FEW else 1.0, "linewidth": 0}
    for shade, (label, counts) in zip(
        sns.color_palette("Oranges_r", len(references)), references.items(), strict=True
    ):
        axes.barh(rows, counts - before, left=before, color=shade, label=plain(f"reference {label}"), **style)
        before = counts
    axes.barh(rows, sizes - before - biased, left=before, color="0.9", label="unused", **style)
    axes.barh(rows, biased, left=sizes - biased, color=SET_COLOURS["biased set"], label="biased set", **style)
    axes.set(xlabel="images, in the order of the draw", ylim=(len(names) - 0.5, -0.5), xlim=(0, sizes.max()))
    axes.set(ylabel="group", yticks=[])
    if len(names) <= FEW:
        axes.set_yticks(rows, [plain(name) for name in names])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    sns.despine(figure)
    return close(figure)


EXAMPLES = 8  # images of each group that a record keeps


def save_examples(images: np.ndarray, groups: np.ndarray, n_groups: int, path: Path) -> None:
    """Keep the first EXAMPLES images of each of the first FEW groups as one PNG, pixel by pixel; a row for a group.

    images: uint8 (N, C, H, W); groups: (N,). Places that no image fills are grey.
    """
    shown = min(n_groups, FEW)
    n, channels, height, width = images.shape
    canvas = np.full((shown, EXAMPLES, channels, height, width), 128, np.uint8)
    for group in range(shown):
        found = images[groups == group][:EXAMPLES]
        canvas[group, : len(found)] = found
    pixels = canvas.transpose(0, 3, 1, 4, 2).reshape(shown * height, EXAMPLES * width, channels)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, optimize=True)


FIRST, COLUMNS = 60, 10  # samples that a record keeps in their order, and how many stand in a row


def save_first(images: np.ndarray, path: Path) -> None:
    """Keep the first FIRST images, uint8 (N, C, H, W), as one PNG, in rows of COLUMNS, a white line between them."""
    n, channels, height, width = images[:FIRST].shape
    rows = -(-n // COLUMNS)
    canvas = np.full((rows * COLUMNS, channels, height + 1, width + 1), 255, np.uint8)
    canvas[:n, :, :height, :width] = images[:FIRST]
    pixels = canvas.reshape(rows, COLUMNS, channels, height + 1, width + 1).transpose(0, 3, 1, 4, 2)
    pixels = pixels.reshape(rows * (height + 1), COLUMNS * (width + 1), channels)[:-1, :-1]
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, optimize=True)


def read_first(path: Path, side: int) -> np.ndarray:
    """The images that `save_first` has kept, uint8 (N, C, side, side)."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    pixels = np.pad(pixels, ((0, 1), (0, 1), (0, 0)), constant_values=255)  # the last white lines
    height, width, channels = pixels.shape
    tiles = pixels.reshape(height // (side + 1), side + 1, width // (side + 1), side + 1, channels)
    images = tiles.transpose(0, 2, 4, 1, 3).reshape(-1, channels, side + 1, side + 1)
    return np.ascontiguousarray(images[..., :side, :side])


def side_by_side(kept: dict[str, Path], captions: dict[str, str]) -> Figure:
    """What `save_first` wrote, a panel for each method (key -> path), with a caption beneath."""
    figure, axes = plt.subplots(1, len(kept), figsize=(4.2 * len(kept), 3.1), squeeze=False)
    figure.get_layout_engine().set(wspace=0.05)
    for panel, (key, path) in zip(axes[0], kept.items(), strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image)
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set_title(run_label(key), fontsize="x-large")
        panel.set_xlabel(plain(captions[key]), fontsize="x-large")
        panel.set(xticks=[], yticks=[])
        sns.despine(ax=panel, left=True, bottom=True)
    return close(figure)


def samples_by_group(kept: dict[str, Path], names: tuple[str, ...]) -> Figure:
    """What `save_examples` wrote, a panel for each method (key -> path); names: of the groups, for the rows."""
    names, most = names[:FEW], 4
    columns = -(
        -len(kept) // -(-len(kept) // most)
    )  # of `panels`; 0.3 inches beside a grid hold the names of its rows
    figure, _, used = panels(len(kept), most, (WIDTH / columns - 0.3) * len(names) / EXAMPLES + 0.4)
    for panel, (key, path) in zip(used, kept.items(), strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image)
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set(title=run_label(key), xticks=[])
        for row in range(1, len(names)):
            panel.axhline(row * len(pixels) / len(names) - 0.5, color="white", linewidth=1.5)
        for column in range(1, EXAMPLES):
            panel.axvline(column * pixels.shape[1] / EXAMPLES - 0.5, color="white", linewidth=1)
        sns.despine(ax=panel, left=True, bottom=True)
        middles = (np.arange(len(names)) + 0.5) * len(pixels) / len(names) - 0.5
        panel.set_yticks(middles, [plain(name) for name in names])
        panel.tick_params(left=False)
    return close(figure)
