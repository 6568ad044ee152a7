"""The comparison that notebook 07 makes of its parameters."""

import pytest

from tiwlib import baselines, runs
from tiwlib.baselines.compared import PRICED, Comparison, from_parameters

DEFAULTS = runs.defaults("07_baselines")


def test_the_defaults_of_the_notebook_are_a_comparison_of_all_methods():
    comparison = from_parameters(DEFAULTS)
    assert comparison.methods == list(baselines.BASELINES) and comparison.n == DEFAULTS["n_samples"]
    assert comparison.budget.steps == DEFAULTS["steps"] and not comparison.budget.lr_decay
    assert comparison.grids["adp"] == DEFAULTS["adp_grid"]
    assert comparison.grids["invdiff"] == {"share": DEFAULTS["invdiff_shares"]}
    assert (
        comparison.grids["ambient"] == baselines.baseline("ambient").tried
        and "tiw_dsm" not in comparison.grids
    )
    assert comparison.baseline("invdiff").share == DEFAULTS["invdiff_share"]
    assert comparison.baseline("invdiff", share=0.3).share == 0.3
    assert from_parameters(DEFAULTS | {"problem": "digits-lt"}).budget.lr_decay, "settings of images"


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": 3, "validation_seed": 2}, "validation_seed=2"),
        ({"methods": ["tiw_dsm", "dsm_bias"]}, "dsm_bias first"),
        ({"methods": ["dsm_bias", "dsm_bias"]}, "named once"),
        ({"methods": ["dsm_bias", "no-such"]}, "no-such"),
        ({"n_samples": 3}, "n_samples=3"),
        ({"steps": 0}, "steps=0"),
        ({"sampling_steps": 1}, "sampling_steps=1: must be at least 2"),
        ({"sampling_steps": 2}, r"sampling_steps=2, sigmas=\(0.6, 6.0\): no level of the sampler is guided"),
        ({"adp_grid": {"sigmas": [[0.6, 6.0], [6.0, 0.6]]}}, r"sigmas=\(6.0, 0.6\): no level"),
        ({"target": [0.9, 0.3]}, r"target=\(0.9, 0.3\): must be positive in every group and sum to one"),
        ({"methods": ["dsm_bias"], "target": [0.9, 0.3]}, r"target=\(0.9, 0.3\)"),
        ({"ddm_w": 1.5}, r"ddm_released': w=1.5: must lie in \[0, 1\)"),
        ({"ddm_clusters": 0}, "clusters=0: must be at least 1"),
        ({"invdiff_r": 3.0}, r"invdiff': r=3.0: must lie in \(0, 1\]"),
        ({"invdiff_variance": -1.0}, "variance=-1.0: must be finite and not negative"),
        ({"invdiff_share": 0.0}, r"share=0.0: must lie in \(0, 1\)"),
        ({"invdiff_shares": [0.1, 2.0]}, r"share=2.0: must lie in \(0, 1\)"),
        ({"adp_grid": {"gama": [60.0]}}, "'adp': .*'gama'"),
        ({"adp_grid": {"temperature": [2.0, 0.0]}}, "temperature=0.0: must be positive and finite"),
        ({"adp_grid": {"gamma": [-1.0]}}, "gamma=-1.0: must be finite and not negative"),
        ({"adp_grid": {"hidden": [0, 64.5]}}, "hidden=64.5: must be a whole number, at least 0"),
        ({"adp_grid": {"seeds": [0]}}, "seeds=0: must be a whole number, at least 1"),
        ({"adp_grid": {"gamma": []}}, r"gamma=\[\]: must list at least one value"),
        ({"adp_grid": {"gamma": 60.0}}, "gamma=60.0: must list at least one value"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_trained(changed, named):
    with pytest.raises(ValueError, match=named):
        from_parameters(DEFAULTS | changed)


def test_few_levels_of_the_sampler_are_enough_for_methods_that_guide_none():
    few = {"methods": ["dsm_bias", "tiw_dsm"], "sampling_steps": 2}
    assert from_parameters(DEFAULTS | few).budget.sampling_steps == 2


def test_the_wanted_shares_are_the_target_or_equal_ones():
    comparison = from_parameters(DEFAULTS)
    assert comparison.wanted(comparison.problem(0)).tolist() == [0.5, 0.5]
    aimed = from_parameters(DEFAULTS | {"target": [0.3, 0.7]})
    assert aimed.wanted(aimed.problem(0)).tolist() == [0.3, 0.7]
    with pytest.raises(ValueError, match=r"target=\(0.2, 0.3, 0.5\): .* each of the 2 groups"):
        from_parameters(DEFAULTS | {"target": [0.2, 0.3, 0.5]}).problem(0)


def test_options_are_chosen_on_the_validation_seed_but_for_a_share_that_would_need_the_groups(monkeypatch):
    """The fairest value that is no farther from the data than plain training is used from then on."""
    comparison = Comparison(
        name="gmm",
        methods=["dsm_bias", "domain_guidance", "invdiff"],
        budget=baselines.Budget(),
        n=100,
        options={"invdiff": {"share": 0.1}},
        grids={"domain_guidance": {"w": [0.5, 1.0, 2.0]}, "invdiff": {"share": [0.05, 0.2]}},
    )
    measured = {0.5: (0.4, 1.0), 1.0: (0.2, 2.0), 2.0: (0.1, 9.0), 0.05: (0.0, 0.0), 0.2: (0.0, 0.0)}
    seeds = []

    def measured_once(baseline, problem, budget, seed, **_):
        seeds.append(seed)
        value = getattr(baseline, "w", getattr(baseline, "share", 0.5))
        fairness, frechet = measured[value] if baseline.name != "dsm_bias" else (0.5, 3.0)
        return {"fairness_discrepancy": fairness, "frechet": frechet}, None

    monkeypatch.setattr(baselines, "measured_once", measured_once)
    monkeypatch.setattr("tiwlib.baselines.comparison.measured_once", measured_once)
    tried = dict(comparison.tune(problem=None, seed=100, n=100))
    assert {name: len(rows) for name, rows in tried.items()} == {"domain_guidance": 3, "invdiff": 2}
    assert comparison.baseline("domain_guidance").w == 1.0 and comparison.baseline("invdiff").share == 0.1
    assert set(seeds) == {100}


def test_what_is_priced_is_known():
    assert set(PRICED) <= set(baselines.BASELINES)
