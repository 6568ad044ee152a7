"""Records as tables, on records made up here: what may be compared, how its weights spread."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tiwlib import plots
from tiwlib.runs import cost
from tiwlib.runs import tables as records


def made(method="tiw_dsm", seed=0, folder=None, ratio="r", images="i", split=None, **params):
    base = {"method": method, "seed": seed, "reference_fraction": None, "alpha": 1.0, "run": "", "steps": 9}
    base |= {"setting": "digits-lt"}
    return {
        "run": f"{method}-{seed}",
        "folder": folder,
        "params": {**base, **params},
        "metrics": {"setting": "digits-lt", "recall": 0.5, "n_reference": 50, "group_shares": [0.5, 0.5]},
        "provenance": {
            "hashes": {"images": images, "split": split or f"s{seed}", **({"ratio": ratio} if ratio else {})},
        },
    }  # fmt: skip


def test_runs_may_differ_in_method_and_seed_and_in_what_is_named():
    records.comparable([made(), made("iw_dsm", 1), made(reference_fraction=0.5)])
    records.comparable([made(), made(alpha=2.0)], ("alpha",))
    with pytest.raises(ValueError, match="runs tiw_dsm-0 and tiw_dsm-1 differ in steps: move"):
        records.comparable([made(), made(seed=1, steps=10)])
    with pytest.raises(ValueError, match="differ in feature_extractor"):
        records.comparable([made(), made(feature_extractor="inception")])  # a record of before that parameter
    with pytest.raises(ValueError, match="their images"):
        records.comparable([made(), made(images="other")])
    with pytest.raises(ValueError, match="their splits, though not in the seed"):
        records.comparable([made(), made("iw_dsm", split="other")])


def test_settings_that_are_compared_have_splits_of_their_own():
    """As the sizes of the reference set: one seed draws another split in each."""
    small = made(setting="digits-lt-5", split="of five per cent")
    records.comparable([made(), small], ("setting",))
    with pytest.raises(ValueError, match="differ in their splits, though not in the seed"):
        records.comparable([made(), small, made("iw_dsm", setting="digits-lt-5")], ("setting",))


def test_the_table_has_numbers_and_keys():
    frame = records.table([made(), made("dsm_obs", 1, reference_fraction=0.5)])
    assert frame.method.tolist() == ["tiw_dsm", "dsm_obs_half"]
    assert frame.recall.tolist() == [0.5, 0.5] and frame.n_reference.tolist() == [50, 50]
    assert frame.setting.tolist() == ["digits-lt"] * 2 and "group_shares" not in frame


def test_runs_of_one_seed_have_one_split():
    """The name of a split's file says nothing: it may have been edited between two runs."""
    records.comparable([made(split="s"), made("iw_dsm", split="s"), made(seed=1, split="t")])
    with pytest.raises(
        ValueError, match="runs tiw_dsm-0 and iw_dsm-0 differ in their splits, though not in the"
    ):
        records.comparable([made(split="s"), made("iw_dsm", split="t")])


def test_tables_draw_nothing():
    code = "import sys, tiwlib.runs.tables; print([m for m in ('matplotlib', 'seaborn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_weights_are_a_mean_over_seeds(tmp_path):
    for seed, shares in enumerate(((0.0, 1.0), (0.5, 0.5))):
        folder = tmp_path / str(seed)
        folder.mkdir()
        table = pd.DataFrame({"sigma": 0.0, "log10_w": [-3.0, 0.0], "share": shares})
        table.to_csv(folder / "weights.csv", index=False)
    found = [made(seed=s, folder=tmp_path / str(s)) for s in (0, 1)]
    found += [made("iw_dsm", folder=tmp_path / "none")]
    spread = records.weights(found)
    assert spread.share.tolist() == [0.25, 0.75] and set(spread.estimator) == {"time-dependent"}
    assert len(records.weights(found[2:])) == 0


def test_a_stage_notes_its_own_time_and_memory():
    costs = {}
    with cost.stage(costs, "large"):
        block = np.ones(40_000_000)  # 320 MB
    del block
    with cost.stage(costs, "small"):
        pass
    assert costs["large"]["seconds"] >= costs["small"]["seconds"] >= 0
    if cost.PROCESS.exists():  # elsewhere the peak is that of the process
        assert costs["large"]["peak_memory_mb"] - costs["small"]["peak_memory_mb"] == pytest.approx(
            305, abs=30
        )


def test_examples_are_the_first_of_each_group_pixel_by_pixel(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 4, 4), dtype=np.uint8)
    groups = np.array([0] * 20 + [2] * 10)
    plots.save_examples(images, groups, 3, tmp_path / "kept.png")
    with Image.open(tmp_path / "kept.png") as file:
        pixels = np.asarray(file)
    assert pixels.shape == (12, 32, 3)
    assert (pixels[:4, 4:8] == images[1].transpose(1, 2, 0)).all()
    assert (pixels[8:, 28:] == images[27].transpose(1, 2, 0)).all()
    assert (pixels[4:8] == 128).all(), "a group without images"


def frame_of(values: dict[str, dict[int, float]]) -> pd.DataFrame:
    """A row for each method and seed; the split is that of the seed."""
    rows = [(method, seed, f"s{seed}", value) for method, by in values.items() for seed, value in by.items()]
    return pd.DataFrame(rows, columns=["method", "seed", "split", "recall"])


def test_means_over_seeds():
    found = records.summary(frame_of({"tiw_dsm": {0: 1.0, 1: 2.0, 2: 3.0}, "dsm_obs": {0: 4.0}}), ["recall"])
    cell = found["tiw_dsm"]["recall"]
    assert found["tiw_dsm"]["seeds"] == 3 and cell["seeds"] == [1.0, 2.0, 3.0] and cell["mean"] == 2
    assert cell["high"] - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)  # t(0.975, 2) s / sqrt(n), s = 1
    assert found["dsm_obs"] == {
        "seeds": 1,
        "recall": {"mean": 4.0, "low": None, "high": None, "seeds": [4.0]},
    }


def test_differences_are_those_of_pairs_and_in_order():
    """Seeds that one of the two lacks are left out; what both have in common drops out."""
    values = {"c_only": {0: 1.5, 1: 11.5, 7: 0.0}, "tiw_dsm": {1: 10.0, 0: 1.0, 3: 5.0}, "dsm_obs": {0: 1.0}}
    found = records.paired(frame_of(values), "tiw_dsm", ["recall"])
    assert list(found) == ["c_only"] and found["c_only"]["pairs"] == 2  # dsm_obs has one pair
    assert found["c_only"]["recall"]["seeds"] == [0.5, 1.5] and found["c_only"]["recall"]["mean"] == 1
    other = frame_of(values).replace({"split": {"s1": "another"}})
    other.loc[other.method == "tiw_dsm", "split"] = "s" + other.seed[other.method == "tiw_dsm"].astype(str)
    assert records.paired(other, "tiw_dsm", ["recall"]) == {}, "a seed on another split is no pair"
    several = frame_of({name: {0: 1.0, 1: 2.0} for name in ("c_only", "tiw_dsm", "dsm_ref")})
    assert list(records.paired(several, "tiw_dsm", ["recall"])) == ["dsm_ref", "c_only"]
