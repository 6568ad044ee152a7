"""The tables of the image settings: what they show of made-up runs, and that they say so where there is none."""

import numpy as np
import pandas as pd
import pytest

from ledger import estimator_tables, front, image_tables
from ledger.rules import FAILS, HOLDS, OPEN, UNTESTED
from tiwlib import runs
from tiwlib.runs import guard

USUAL = {"reference_fraction": None, "alpha": 1.0, "ratio": "plain", "steps": 5, "batch_size": 32}
USUAL |= {"width": 16, "noise_mean": -0.4, "noise_std": 1.0}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    return tmp_path


def write(root, setting, method, seed, shares=None, **params):
    """A run whose numbers are those of a sound plain model, but for its seed's."""
    pi = {"dsm_ref": 1.0, "dsm_obs": 1 / 11}.get(method, 0.5)
    batches = guard.batch_shares(setting, pi)
    if shares is None:
        shares = batches
    name = "-".join(map(str, (setting, method, seed, *params.values())))
    measures = {"precision": 0.9, "recall": 0.8, "nearest": 0.2, "unsure": 0.01, "frechet": 10.0 + seed}
    measures |= {"total_variation": float(np.abs(shares - np.full(len(shares), 1 / len(shares))).sum() / 2)}
    about = {
        "group_names": [f"g{i}" for i in range(len(shares))],
        "n_samples": 1000,
        "classifier_accuracy": 0.99,
    }
    about |= {"group_shares": list(map(float, shares)), "reference_fraction": pi, "setting": setting}
    folder = root / "05_train" / name
    params = USUAL | {"setting": setting, "method": method, "seed": seed, "run": name} | params
    runs.write_json(folder / "params.json", params)
    runs.write_json(folder / "metrics.json", measures | about)
    provenance = {"hashes": {"split": f"{setting} {seed}"}, "stages": {"training": {"seconds": 150.0}}}
    runs.write_json(folder / "provenance.json", provenance)
    return folder


def cells(table: str, *starts: str) -> list[str]:
    """The cells of the one row that begins so."""
    (line,) = [line for line in table.splitlines() if line.startswith("| " + " | ".join(starts))]
    return [cell.strip() for cell in line.strip("|").split("|")]


TABLES = (
    image_tables.hues,
    image_tables.mnist8_sizes,
    image_tables.digits_sizes,
    image_tables.parts,
    image_tables.alphas,
    image_tables.subgroups,
    image_tables.vanishing_weights,
    image_tables.lengths,
    image_tables.decided,
)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_without_runs_a_table_says_what_makes_them(table, results):
    text = table()
    assert text.startswith("No runs yet: `") and "\n" not in text
    command = text.split("`")[1]
    file = command.split("CONFIG=")[-1] if "CONFIG" in command else command.split()[1]
    assert (runs.PROJECT / file).is_file()


def test_the_table_of_hues_has_the_share_its_controls_and_its_mark(results):
    setting = "mnist8-colour-90"
    for seed in (0, 1, 2):
        write(results, setting, "dsm_obs", seed, np.array([0.86, 0.14]))
        write(results, setting, "tiw_dsm", seed, np.array([0.5 + seed / 10, 0.5 - seed / 10]))
    write(results, setting, "dsm_obs", 100, np.array([0.1, 0.9]))  # it has chosen a length
    write(results, "mnist8-colour-balanced", "dsm_obs", 0, np.array([0.51, 0.49]))
    real = {"precision": 0.93, "unsure": 0.012, "group_shares": [0.86, 0.14], "n_samples": 777}
    runs.write_json(results / "settings" / setting / "metrics.json", {"control": real})
    table = image_tables.hues()
    assert cells(table, "TIW-DSM")[1:3] == ["3", "0.6 (0.5, 0.6, 0.7)"]
    assert cells(table, "DSM(obs)")[1] == "3", "the seed that chose the length is not among them"
    batches = guard.batch_shares(setting, 1 / 11)[0]
    assert cells(table, "the batches of DSM(obs)")[2] == f"{batches:.3f}"
    assert cells(table, "plain training on balanced data")[1:3] == ["1", "0.51"]
    assert cells(table, "held-out real images with these shares, 777")[2:4] == ["0.86", "0.93"]
    assert cells(table, "a fair sampler, 1,000 images")[2] == "0.5, 95 % below 0.531"
    assert (
        "**mnist8-colour-90 is readable**" in table and "held-out real images have 0.93, 1.2% unsure" in table
    )


def test_a_table_that_cannot_be_read_is_marked(results):
    write(results, "mnist8-colour-90", "dsm_obs", 0, np.array([0.5, 0.5]))
    assert (
        "**mnist8-colour-90 is not readable**, and no claim about its samples is judged: shares"
        in image_tables.hues()
    )


def test_a_balanced_model_of_another_length_is_no_control(results):
    write(results, "mnist8-colour-90", "dsm_obs", 0)
    write(results, "mnist8-colour-balanced", "dsm_obs", 0, steps=9)
    assert "balanced data" not in image_tables.hues()


def test_runs_of_different_lengths_are_not_averaged(results):
    write(results, "mnist8-colour-90", "dsm_obs", 0)
    write(results, "mnist8-colour-90", "dsm_obs", 1, steps=9)
    with pytest.raises(ValueError, match="differ in steps"):
        image_tables.hues()


def test_the_papers_number_stands_beside_its_own_size(results):
    for setting in ("mnist8-lt-5", "mnist8-lt-50"):
        for method in ("dsm_obs", "tiw_dsm"):
            write(results, setting, method, 0)
    table = image_tables.mnist8_sizes()
    assert cells(table, "5 %", "TIW-DSM")[-1] == "11.51" and cells(table, "5 %", "DSM(obs)")[-1] == "12.99"
    assert cells(table, "50 %", "TIW-DSM")[-1] == "", "the paper's number there is not known to us"
    assert "10 %" not in table
    assert cells(table, "5 %", "a fair sampler")[3] == "0.038, 95 % below 0.054"


def test_the_parts_are_differences_of_pairs(results):
    for seed in (0, 1, 2):
        write(results, "digits-lt-25", "c_only", seed)
        write(results, "digits-lt-25", "tiw_dsm", seed + 1)
    table = image_tables.parts()
    assert cells(table, "25 %", "C-only minus TIW-DSM")[2:] == ["2", "0 (0, 0)", "0 (0, 0)", "-0.16"]
    assert "W-only" not in table, "its partner has not run"


def test_all_powers_stand_in_one_table(results):
    for alpha in (0.25, 0.5, 1.0, 2.0, 2.5):
        write(results, "digits-lt", "tiw_dsm", 0, alpha=alpha)
    write(results, "digits-lt", "iw_dsm", 0, alpha=0.125)
    table = image_tables.alphas()
    assert [line.split("|")[2].strip() for line in table.splitlines()[2:]] == [
        "0.25",
        "0.5",
        "1",
        "2",
        "2.5",
        "0.125",
    ]


def test_the_subgroups_stand_beside_the_papers(results):
    shares = np.array([0.3, 0.3, 0.2, 0.2])
    for method in ("dsm_obs", "tiw_dsm"):
        write(results, "mnist8-digit-colour", method, 0, shares)
    table = image_tables.subgroups()
    assert cells(table, "the biased set")[2:] == ["0.465", "0.296", "0.115", "0.124", "0.261"]
    assert cells(table, "TIW-DSM", "1")[2:] == ["0.3", "0.3", "0.2", "0.2", "0.1"]
    assert cells(table, "TIW-DSM in the paper")[2:] == ["0.310", "0.278", "0.201", "0.211", "0.088"]


def test_weights_stand_beside_the_smallest_correct_ratio(results):
    """By hand: on CIFAR-10 the largest class has 1000/10 of 1000 in truth and about four tenths of the biased set."""
    folder = write(results, "mnist8-lt-5", "iw_dsm", 0)
    bins = {"sigma": 0.0, "log10_w": [-3.0, -2.0, -1.6, 0.0], "share": [0.2, 0.1, 0.3, 0.4]}
    pd.DataFrame(bins).to_csv(folder / "weights.csv", index=False)
    table = image_tables.vanishing_weights()
    assert cells(table, "mnist8-lt-5")[2:4] == ["0.248", "0.3"]
    assert cells(table, "cifar10-lt-5")[2:] == ["0.248", "", "more than 0.75"]
    assert guard.least_ratio("digits-colour-90") == pytest.approx(0.5 / 0.9)


def test_lengths_are_those_of_the_seeds_that_chose_them(results):
    for steps in (20, 10):
        write(results, "mnist8-lt-5", "dsm_obs", 100, steps=steps)
    write(results, "mnist8-lt-5", "dsm_obs", 0, steps=30)
    write(results, "mnist8-lt-5", "tiw_dsm", 100, steps=40)
    lines = image_tables.lengths().splitlines()[2:]
    assert [line.split("|")[2].strip() for line in lines] == ["10 of 32", "20 of 32"]
    assert [cell.strip() for cell in lines[0].split("|")[3:6]] == ["16", "-0.4 ± 1", "2"]
    assert lines[0].split("|")[-2].strip() == "0.000" or float(lines[0].split("|")[-2]) < 0.05


def test_the_time_of_a_training_that_was_resumed_is_left_out(results):
    """It is that of the last part, and not of the training."""
    for seed, part in ((0, "training_resumed"), (1, "training")):
        folder = write(results, front.TAIL, "tiw_dsm", seed)
        stages = {part: {"seconds": 150.0}, "ratio": {"seconds": 7.0}}
        runs.write_json(folder / "provenance.json", {"hashes": {"split": str(seed)}, "stages": stages})
    assert front.stages("tiw_dsm") == {"ratio": 7.0, "training": 150.0}
    folder = write(results, "mnist8-lt-5", "dsm_obs", 100)
    runs.write_json(
        folder / "provenance.json", {"hashes": {}, "stages": {"training_resumed": {"seconds": 150.0}}}
    )
    (line,) = image_tables.lengths().splitlines()[2:]
    assert line.split("|")[5].strip() == ""


# ---------------------------------------------------------------- the README's first sentence


def test_the_readme_shows_the_larger_images_once_they_can_be_read(results):
    assert front.shown() == front.COLOUR, "without any record"
    better = front.BETTER
    for method in ("dsm_obs", "tiw_dsm"):
        write(results, better, method, 0)
    assert front.shown() == front.COLOUR, "there is no picture yet"
    picture = results / front.picture_of(better)
    picture.parent.mkdir(parents=True)
    picture.touch()
    assert front.shown() == better
    write(results, better, "dsm_obs", 0, np.array([0.5, 0.5]))
    assert front.shown() == front.COLOUR, "a plain model that is fair cannot be trusted"


def test_the_readme_says_what_cannot_be_read(results):
    write(results, front.TAIL, "tiw_dsm", 0)
    write(results, front.TAIL, "dsm_obs", 0, guard.batch_shares(front.TAIL, 1 / 11))
    said = front.caveat()
    assert front.COLOUR in said and "no finished run of its plain model" in said and front.TAIL not in said


@pytest.mark.parametrize(
    ("few", "many", "said"),
    [
        (FAILS, None, ("75 in training, come out as near copies (0.20 as far",)),
        (FAILS, OPEN, ("75 in training, come out as near copies (0.20 as far",)),
        (FAILS, HOLDS, ("near copies (0.20 as far", "with 1,250, they are new (0.90;")),
        (OPEN, HOLDS, ()),
        (None, HOLDS, ()),
    ],
)
def test_the_readme_speaks_of_copies_as_the_claims_do_among_all(monkeypatch, few, many, said):
    """None: a claim that was not tested has a verdict alone, which says so, and none among all."""
    verdicts = {"copies-tiw-dsm-blue": few, f"copies-{front.BETTER}-tiw-dsm-blue": many}
    rows = {front.COLOUR: (75, 0.2), front.BETTER: (1250, 0.9)}
    entries = [
        {"id": id, "verdict": UNTESTED} if v is None else {"id": id, "verdict": HOLDS, "verdict_among_all": v}
        for id, v in verdicts.items()
    ]
    monkeypatch.setattr(front, "ledger", lambda: entries)
    monkeypatch.setattr(
        front,
        "of_tiw",
        lambda group, setting: pd.DataFrame([rows[setting]] * 2, columns=["trained_on", "part"]),
    )
    text = front.copied()
    assert all(part in text for part in said) and bool(text) == bool(said)
    assert ("new" in text) == (len(said) == 2)


def test_a_ratio_on_a_short_base_has_a_row_of_its_own(results):
    """Neither row takes the other's runs, and the plain ratio's takes none of both."""
    hues = "digits-colour-90"
    for seed in range(2):
        write(results, hues, "dsm_obs", seed)
        for params, red in (({}, 0.6), ({"ratio": "posterior"}, 0.7), (front.OTHER, 0.5)):
            folder = write(results, hues, "tiw_dsm", seed, (red, 1 - red), **params)
            metrics = runs.read_record(folder)["metrics"] | {"context": {"reference": {"frechet": 3.0}}}
            runs.write_json(folder / "metrics.json", metrics)
    table = estimator_tables.by_ratio(hues, ("dsm_obs",), (image_tables.FIRST, "frechet"))
    assert cells(table, "TIW-DSM, plain")[1:3] == ["2", "0.6 (0.6, 0.6)"]
    assert cells(table, "TIW-DSM, posterior ")[1:3] == ["2", "0.7 (0.7, 0.7)"]
    assert cells(table, "TIW-DSM, posterior, base of 400 steps")[1:3] == ["2", "0.5 (0.5, 0.5)"]
    assert cells(table, "the reference images themselves")[1:] == ["2", "", "3 (3, 3)"]
