"""Benchmarks of many rows: what is there is not made again, and what is asked for is what the pages read."""

import json
from types import SimpleNamespace

import copies
import estimators
import pytest
import ratio_ablations
import ratio_terms
import rows
import same_ratio
import torch

from tiwlib import runs
from tiwlib.data.problems import gmm
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA
from tiwlib.runs.tables import benchmark


def test_a_stopped_benchmark_goes_on(tmp_path):
    made, path = [], tmp_path / "a.json"

    def make(seed, name):
        made.append((seed, name))
        if seed == 1 and len(made) < 4:
            raise KeyboardInterrupt
        return [{"variant": variant, "value": seed} for variant in "xy"]

    asked = [{"seed": seed, "name": name} for seed in (0, 1) for name in ("a", "b")]
    with pytest.raises(KeyboardInterrupt):
        rows.fill(path, asked, make)
    assert len(json.loads(path.read_text())["rows"]) == 4
    found = rows.fill(path, asked, make)
    assert made == [(0, "a"), (0, "b"), (1, "a"), (1, "a"), (1, "b")]
    assert found == json.loads(path.read_text())["rows"] and len(found) == 8
    assert {"seed", "name", "variant", "value", "chip", "commit", "dirty", "date", "torch"} <= found[0].keys()


def test_two_commands_may_fill_one_file(tmp_path):
    """What another one has written meanwhile stays."""
    path = tmp_path / "a.json"

    def make(seed):
        if seed == 0:
            rows.fill(path, [{"seed": 7}], lambda seed: [{"value": "other"}])
        return [{"value": "own"}]

    found = rows.fill(path, [{"seed": 0}, {"seed": 1}], make)
    assert [(row["seed"], row["value"]) for row in found] == [(7, "other"), (0, "own"), (1, "own")]


def test_rows_of_a_run_that_was_made_again_are_made_again(tmp_path, monkeypatch):
    """They name the denoiser that they were read off; those of other runs stay as they are."""
    trained = [{"run": run, "provenance": {"hashes": {"denoiser": f"{run}0"}}} for run in "ab"]
    monkeypatch.setattr(rows, "finished", lambda notebook: trained)
    made = []

    def fill():
        made.clear()
        rows.fill_for_settings(
            "far",
            "",
            lambda settings, trained: [{"run": r["run"], "level": 0.5} for r in trained],
            lambda run, level: made.append(run) or [{"far": 1.0}],
            ["hues", "--out", str(tmp_path)],
        )
        return {
            row["run"]: row["denoiser"] for row in json.loads((tmp_path / "far.json").read_text())["rows"]
        }

    assert fill() == {"a": "a0", "b": "b0"} and made == ["a", "b"]
    trained[0]["provenance"]["hashes"]["denoiser"] = "a1"
    assert fill() == {"a": "a1", "b": "b0"} and made == ["a"]
    trained.pop(0)
    assert fill() == {"a": "a1", "b": "b0"} and not made, "a run whose record is elsewhere keeps its rows"


@pytest.mark.parametrize(("text", "seeds"), [("0-2", [0, 1, 2]), ("3", [3]), ("1,5", [1, 5])])
def test_seeds_of_a_command(text, seeds):
    assert rows.seeds_of(text) == seeds


def test_the_ablations_that_are_committed_are_those_that_are_asked_for():
    there = benchmark("ratio-ablations")
    for part, (seeds, cells) in ratio_ablations.ASKED.items():
        of_part = there[there.part == part]
        assert set(of_part.seed) == set(seeds) and len(of_part) % (len(seeds) * len(cells)) == 0
    quality = there[there.part == "quality"]
    assert len(quality) == 5 * len(ratio_ablations.CELLS)


def test_an_ablation_is_judged_beside_the_exact_ratio(monkeypatch):
    """A ratio that is exact has no error, and the share of the exact ratio with the same noise."""
    monkeypatch.setattr(ratio_ablations, "fit", lambda pair, seed, **_: Exact())
    monkeypatch.setattr(ratio_ablations.weights, "calibration_error", lambda heldout: 0.0)
    monkeypatch.setattr(
        ratio_ablations, "sample", lambda denoiser, seed: ratio_ablations.two_d.drawn(denoiser, 50, steps=4)
    )
    ratio_ablations.exact_share.cache_clear()
    (row,) = ratio_ablations.quality(0, "length", 50)
    assert row["length"] == 50 and row["reference"] == ratio_ablations.BASE["reference"]
    assert row["ratio_error"] < 1e-9 and row["share_error"] == 0
    ratio_ablations.exact_share.cache_clear()


class Exact:
    heldout_loss, heldout = 0.5, None

    def log_ratio(self, x, sigma):
        return ratio_ablations.EXACT_RATIO.log_ratio(x, sigma)


def test_the_estimators_are_asked_on_validation_splits_where_they_are_tuned():
    tuning = estimators.asked("tuning", rows.seeds_of(estimators.SEEDS["tuning"]), [])
    assert {row["seed"] for row in tuning} == {100, 101, 102, 103}
    tries = {name: len(part) for name, part in estimators.TRIES.items()}
    assert set(tries.values()) == {4} and all(part[0] == {} for part in estimators.TRIES.values())
    assert len(tuning) == 4 * sum(tries.values())
    digits = estimators.asked("digits", [0], ["oracle"])
    assert [row["setting"] for row in digits] == list(estimators.DIGITS)
    images = estimators.asked("images", [0, 1], ["plain", "oracle"])
    assert len(images) == 4 * len(estimators.SWEEPS)
    assert {row["setting"] for row in images[:4]} == {"digits-colour-90"}, (
        "a problem is complete before the next"
    )


def test_a_ratio_is_compared_at_the_levels_of_the_runs_that_take_it():
    classes, hues = (estimators.problem_as_trained(name, 0) for name in ("digits-lt", "digits-colour-90"))
    assert (classes.sigma_data, classes.levels) == (0.75, estimators.LogNormal(-0.4, 1.0))
    assert (hues.sigma_data, hues.levels) == (0.5, estimators.LogNormal(-1.2, 1.2))


def test_a_row_of_the_2_d_example(monkeypatch):
    (row,) = estimators.two_d("mixture", 0, 25, "within_modes")
    assert row.keys() == {"ratio_error", "score_error", "heldout_loss", "seconds"}
    assert row["ratio_error"] > 0.5, "two clusters do not see this bias"
    with pytest.raises(KeyError):
        estimators.two_d("mixture", 0, 25, "magic")


def test_the_two_d_problem_has_the_densities_that_it_is_given():
    pair = estimators.TWO_D_PAIRS["within_modes"]
    moved, usual = gmm(n=4000, pair=pair), gmm(n=4000)
    mean = moved.biased[moved.biased.sum(1) > 0].mean(0)
    assert mean.tolist() == pytest.approx([3.0, 1.0], abs=0.1)  # 2,000 points of width 1
    assert moved.key != usual.key


def test_a_table_of_rows_names_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tiwlib.runs.tables.PROJECT", tmp_path)
    with pytest.raises(FileNotFoundError, match="gone.json"):
        benchmark("gone")
    path = tmp_path / "benchmarks" / "results" / "a.json"
    runs.write_json(path, {"rows": [{"seed": 0, "part": "x"}, {"seed": 1, "part": "y"}]})
    assert benchmark("a", part="y").to_dict("records") == [{"seed": 1, "part": "y"}]
    with pytest.raises(KeyError, match="other"):
        benchmark("a", other=1)


# ---------------------------------------------------------------- terms of the discriminator's loss


def quadratic(a, b):
    """A ratio log r = a . x + b |x|^2 / 2, whose gradient is known."""
    return lambda x: (x * a).sum(1) + b * x.square().sum(1) / 2


def log_r_and_gradient(ratio, x):
    x = x.requires_grad_()
    log_r = ratio(x)
    (gradient,) = torch.autograd.grad(log_r.sum(), x, create_graph=True)
    return log_r, gradient


def test_the_penalty_is_that_of_the_gradient_in_units_of_sigma():
    a, x, sigma = torch.tensor([2.0, -1.0]), torch.randn(5, 2), torch.linspace(0.5, 3, 5)
    log_r, gradient = log_r_and_gradient(quadratic(a, 0.3), x)
    expected = sigma**2 * (a + 0.3 * x).square().sum(1) / 2
    assert torch.allclose(ratio_terms.sobolev(log_r, gradient, sigma), expected)


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_the_exact_ratio_denoises_both_sets_with_the_denoiser_of_their_mixture(fraction):
    """D + sigma^2 grad log w is p_data's denoiser, and D + sigma^2 grad log (w / r) that of p_bias."""
    batch = P_BIAS.mix(P_DATA, fraction)
    x, sigma = 3 * torch.randn(200, 2, dtype=torch.float64), torch.linspace(0.2, 5, 200, dtype=torch.float64)
    x0, label = torch.zeros_like(x), (torch.arange(200) % 2).double()
    log_r, gradient = log_r_and_gradient(lambda x: EXACT_RATIO.log_ratio(x, sigma), x)
    how = {"x": x, "x0": x0, "label": label, "base": batch, "observed_fraction": fraction}
    term = ratio_terms.denoising(log_r, gradient, sigma, **how)
    own = torch.where(label[:, None] == 1, P_DATA.denoised(x, sigma), P_BIAS.denoised(x, sigma))
    assert torch.allclose(term, (own / sigma[:, None]).square().sum(1) / 2, atol=1e-9)


def test_without_a_term_the_fit_is_that_of_the_plain_ratio_and_a_penalty_flattens_it():
    problem = gmm(n=100, n_reference=20)
    ours = ratio_terms.fit(problem, None, 0.0, 30, seed=0)
    plain = estimators.estimators.fit("plain", problem, steps=30)
    x, sigma = problem.biased, torch.ones(100)
    assert torch.equal(ours.log_ratio(x, sigma), plain.log_ratio(x, sigma))
    flat = ratio_terms.fit(problem, ratio_terms.sobolev, 100.0, 30, seed=0)
    assert flat.log_ratio(x, sigma).std() < ours.log_ratio(x, sigma).std() / 2


# ---------------------------------------------------------------- two methods on one ratio


def test_on_the_exact_ratio_the_minimisers_are_one_and_only_the_noise_differs(monkeypatch):
    monkeypatch.setattr(same_ratio.estimators, "in_two_d", lambda *_: (EXACT_RATIO, 0.0))
    (row,) = same_ratio.bias(0, "plain")
    assert max(row.values()) < 1e-6  # Gauss and Hermite's quadrature, squared
    noise = {m: same_ratio.noise(0, 0.5, 16.0, m)[0]["noise"] for m in same_ratio.WEIGHTED}
    assert noise["iw_dsm"] > noise["tiw_dsm"] > noise["c_only"]


def test_each_part_asks_for_every_method_or_estimator():
    assert {cell["method"] for cell in same_ratio.CELLS["noise"]} == set(same_ratio.WEIGHTED)
    assert len(same_ratio.CELLS["trained"]) == 6
    assert {cell["estimator"] for cell in same_ratio.CELLS["bias"]} == set(estimators.ESTIMATORS)


def test_copies_are_looked_for_group_by_group_among_what_a_run_was_trained_on(monkeypatch):
    """The committed rows of DSM(ref), which copies its 50 images, and of DSM(obs), by another judge of the hue."""

    def by_colour(x):
        means = torch.as_tensor(x).float().mean((2, 3))  # (B, 3)
        return torch.stack([means[:, 0] > means[:, 2], means[:, 0] <= means[:, 2]], 1).float()

    monkeypatch.setattr(
        copies.judges, "of_data", lambda data: (SimpleNamespace(probabilities=by_colour), None)
    )
    for method, trained_on in (("dsm_ref", [25, 25]), ("dsm_obs", [475, 75])):
        made = copies.rows_of(f"digits-colour-90-{method}-seed0")
        there = benchmark("copies", run=f"digits-colour-90-{method}-seed0")
        assert [row["group"] for row in made] == ["red", "blue"]
        assert sum(row["samples"] for row in made) == 60
        assert [row["trained_on"] for row in made] == trained_on
        assert [row["part"] for row in made] == pytest.approx(list(there.part), rel=1e-5)
        assert all((row["part"] < 0.1) == (method == "dsm_ref") for row in made)


def test_copies_are_asked_of_runs_as_they_are():
    trained = [
        {"run": run, "params": {"setting": setting, "alpha": alpha, "reference_fraction": pi, "seed": seed}}
        for run, setting, alpha, pi, seed in (
            ("c", "hues", 1.0, None, 1),
            ("b", "hues", 1.0, None, 0),
            ("a", "hues", 2.0, None, 0),
            ("d", "hues", 1.0, 0.5, 0),
            ("e", "classes", 1.0, None, 0),
            ("f", "hues", 1.0, None, 100),  # it has chosen a length
        )
    ]
    assert copies.asked(["hues"], trained) == [{"run": "b"}, {"run": "c"}]
