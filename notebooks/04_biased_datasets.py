# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Biased data sets
#
# **Question.** What exactly is in the biased set, what in the reference set, and is it the same on every
# machine?
#
# A setting takes two disjoint sets out of a data set with groups $g$: many images with biased shares
# $p_{\rm bias}(g)$, and few with equal ones. For the long tail with $G$ groups and an imbalance $\rho$,
#
# $$p_{\rm bias}(g) \propto \rho^{\,g/(G-1)}, \qquad p_{\rm ref}(g) = 1/G, \qquad
# |\mathcal D_{\rm ref}| = \text{share} \cdot |\mathcal D_{\rm bias}|.$$
#
# The groups are for looking and measuring only: training sees nothing but which set an image is in. The paper has
# long tails of CIFAR-10 and CIFAR-100, FFHQ by gender, and CelebA by gender and hair. The settings of digits mirror
# them at sizes that a laptop can train, with the hue of a digit in gender's place (`digits-colour-90`).
#
# | reads | writes | takes |
# |---|---|---|
# | the setting's images, fetched if missing | `results/04_biased_datasets/<run>/` | seconds |
# | or your own folders or zips | an array below `root`, once per data set | a minute for 60,000 files |
#
# `python -m tiwlib.data list` names the settings. `data/README.md` says where the data come from, and how
# to give your own: a biased and a reference folder without groups, or one folder with groups.

# %%
import numpy as np
from IPython.display import display

from tiwlib import plots, runs
from tiwlib.data import bias, manifest, settings
from tiwlib.measures.shares import total_variation

# %% tags=["parameters"]
run = "default"  # name of the record under results/04_biased_datasets/
setting = "digits-lt"  # a name of the list, or the path of a .json file
root = "data"  # where downloads and arrays are kept
source = ""  # a folder or zip of the setting's images, instead of a download
biased = ""  # your own biased images, a folder or zip, instead of a setting
reference = ""  # and your own unbiased ones
biased_groups = ""  # groups of your biased images, if any: "folders" or a CSV
reference_groups = ""  # and of the unbiased ones
size = 64  # side in pixels to which your own pair is cropped and scaled
seed = 0  # of the draw
shares = [0.05, 0.1, 0.25, 0.5]  # sizes of the nested reference sets that are shown

# %%
params = runs.parameters("04_biased_datasets", globals())
record = runs.start("04_biased_datasets", run, params)
images = bias.from_parameters(params, runs.PROJECT, download=True)
data, split = images.data, images.split
named = biased == ""  # else it is the reader's own pair, where nothing is left to draw
has_groups = data.groups is not None
record.hashes |= {"split": split.sha256, "images": data.sha256}

# %% [markdown]
# ## The two sets

# %%
channels, height, width = data.images.shape[1:]
print(f"{split.setting}: {data.name}, {len(data.images):,} images of {channels} x {height} x {width}")
print(f"biased {len(split.biased):,}, reference {len(split.reference):,}, seed {split.seed}")
print(f"split sha256 {split.sha256}")
assert not np.intersect1d(split.biased, split.reference).size, "disjoint"
metrics = {
    "data": data.name,
    "images": len(data.images),
    "biased": len(split.biased),
    "reference": len(split.reference),
    "split_sha256": split.sha256,
}

# %% [markdown]
# Images at equal distances through each set. Sets stand sorted by group, so where there are groups, the space
# that one takes here is its share.

# %%
COLUMNS, ROWS = 16, 3


def spread(indices):
    """At most COLUMNS x ROWS of the indices, at equal distances."""
    return indices[np.linspace(0, len(indices) - 1, min(len(indices), COLUMNS * ROWS)).astype(int)]


for name, indices in {"biased": split.biased, "reference": split.reference}.items():
    figure = plots.image_grid(data.images[spread(indices)], COLUMNS, [name])
    display(record.figure(figure, f"images_{name}"))

# %% [markdown]
# ## Shares of the groups
#
# The distance between biased and reference shares is the total variation, half the sum of absolute
# differences: 0 where both are the same, 1 where they have no group in common.

# %%
if has_groups:
    groups = len(data.group_names)
    counts = {"full": data.group_sizes(), **split.counts(data.groups, groups)}
    group_shares = {name: numbers / numbers.sum() for name, numbers in counts.items()}
    distance = round(total_variation(group_shares["biased"], group_shares["reference"]), 6)
    for name, numbers in counts.items():
        print(f"{name:10s} {numbers.sum():7,} images, {numbers.min():,} to {numbers.max():,} in a group")
    print(f"total variation of biased from reference: {distance:.3f}")
    if named:
        assert np.ptp(counts["reference"]) <= 1, "the reference set is balanced"
    metrics |= {
        "group_names": data.group_names,
        "counts": {name: numbers.tolist() for name, numbers in counts.items()},
        "total_variation": distance,
    }
    figure = plots.shares_of_sets(group_shares, data.group_names)
    display(record.figure(figure, "group_shares"))
else:
    print("no groups: the method needs none, and what is measured by group is left out")

# %% [markdown]
# Most of the biased images are of the first groups, and the reference set has the same number of each: the two
# differ in their shares alone, for an image of a group is as likely in one as in the other.
#
# ## Nested reference sets
#
# Each group has one seeded order of its images. The reference set takes the front, the biased set the back: a
# smaller reference set is part of a larger one, all sizes share one biased set, and runs that compare sizes
# differ in nothing else.

# %%
if named:
    references, before = {}, np.array([], np.int64)
    for share in sorted(shares):
        other = settings.Setting(data.name, split.definition["bias"], split.definition["arguments"], share)
        try:
            larger = bias.draw(f"{share:.0%}", other, data.group_sizes(), data.group_names, seed)
        except ValueError as error:
            print(f"left out: {error}")
            continue
        assert np.isin(before, larger.reference).all(), "nested"
        assert np.array_equal(larger.biased, split.biased), "one biased set"
        before = larger.reference
        references[f"{share:.0%}"] = larger.counts(data.groups, groups)["reference"]
        print(f"{share:4.0%}: {len(before):6,} reference images, sha256 {larger.sha256[:16]}")
    metrics["nested"] = {
        f"percent_{label.removesuffix('%')}": int(numbers.sum()) for label, numbers in references.items()
    }
    figure = plots.use_of_groups(counts["full"], counts["biased"], references, data.group_names)
    display(record.figure(figure, "nested_references"))

# %% [markdown]
# Each bar is one group from left to right in the order of its draw. Whatever the size of the reference set, it starts
# at the left and the biased set ends at the right; between them lie images that neither takes, on which a ratio can
# be tested.
#
# ## The row of the manifest
#
# `data/manifest.json` has the hash of every named setting whose group sizes are known without its images. The
# split above is that of the manifest, or this cell fails.

# %%
if split.setting in settings.SETTINGS:
    for field, value in manifest.row(split.setting).items():
        print(f"{field:16s} {value}")
    known = manifest.known_hash(split.setting, split.seed)
    assert known in (None, split.sha256), f"the manifest has {known}"
    metrics["in_manifest"] = known is not None
else:
    print("the reader's own data have no row")

# %% [markdown]
# ## What we learned
#
# A split follows from the sizes of the groups, the setting and the seed, so that every machine draws the same one.
# Reference sets are nested and share one biased set, so that runs of two sizes differ in nothing else. The total
# variation printed above is what plain training on the biased set would leave, and what the methods are to take away.
#
# ## The record

# %%
record.finish(metrics)
print(f"recorded: {run}")
