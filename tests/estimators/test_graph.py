"""The clean ratio on the graph of observed samples: no sample's ratio comes from a fit that has seen its label."""

import numpy as np
import pytest
import torch

from tiwlib.data.problems import gmm
from tiwlib.estimators import graph
from tiwlib.gaussians import P_BIAS, P_DATA
from tiwlib.networks import image_denoiser, seeded


@pytest.fixture(scope="module")
def points():
    """200 biased and 40 unbiased points, their labels, and the smooth functions on their graph."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.cat([P_BIAS.sample(200, generator), P_DATA.sample(40, generator)])
    label = np.repeat([0.0, 1.0], [200, 40])
    return x0, label, graph.smooth_functions(graph.neighbour_graph(x0, 5))


def test_the_graph_is_symmetric_and_joins_neighbours(points):
    x0, _, _ = points
    affinity = graph.neighbour_graph(x0, 3)
    assert abs(affinity - affinity.T).max() == 0 and affinity.diagonal().sum() == 0
    dense, distance = affinity.toarray(), torch.cdist(x0, x0)
    assert ((dense > 0).sum(1) >= 3).all() and dense.max() <= 1
    nearest = (distance + 1e9 * torch.eye(len(x0))).argmin(1)
    assert (dense[np.arange(len(x0)), nearest] > 0).all()


def test_smooth_functions_begin_with_the_smoothest_and_roughness_counts_less_with_time(points):
    x0, _, functions = points
    norms = (functions**2).mean(0)
    assert functions.shape == (240, 100) and (np.diff(norms) < 1e-9).all() and norms[0] == pytest.approx(1)
    longer = graph.smooth_functions(graph.neighbour_graph(x0, 5), time=60.0)
    assert ((longer**2).mean(0)[1:] <= norms[1:] + 1e-9).all() and (longer**2).mean(0)[-1] < norms[-1] / 2


def test_the_ratio_separates_the_modes_and_has_the_mean_one(points):
    x0, label, functions = points
    log_r = graph.out_of_fold_log_ratio(functions, label, repeats=2)
    minority = x0.sum(1).numpy() > 0
    assert log_r[minority].mean() > 0.4 and log_r[~minority].mean() < -0.1  # log 2.5 and log 0.625, shrunk
    assert np.exp(log_r[label == 0]).mean() == pytest.approx(1)


def test_no_fit_sees_the_labels_it_predicts(points, monkeypatch):
    """The samples of a fit and of its predictions are told by their rows of functions."""
    _, label, functions = points
    rows = {row.tobytes(): i for i, row in enumerate(functions)}
    fits, original = [], graph.LogisticRegression

    class Spy(original):
        def fit(self, x, y):
            self.seen = {rows[row.tobytes()] for row in x}
            return super().fit(x, y)

        def decision_function(self, x):
            fits.append((self.seen, {rows[row.tobytes()] for row in x}))
            return super().decision_function(x)

    monkeypatch.setattr(graph, "LogisticRegression", Spy)
    graph.out_of_fold_log_ratio(functions, label, folds=4, repeats=2)
    assert len(fits) == 8
    for seen, unseen in fits:
        assert not seen & unseen and len(seen | unseen) == 240
        assert sum(label[i] for i in unseen) == 10  # a quarter of the references
    assert all(set.union(*(unseen for _, unseen in fits[k : k + 4])) == set(range(240)) for k in (0, 4))


def test_features_are_the_same_for_a_seed_and_do_not_change_the_random_state():
    base, x0 = seeded(image_denoiser, 1, 8, 8, seed=0), torch.randn(6, 1, 8, 8)
    state = torch.random.get_rng_state()
    first, again = (graph.features(base, x0, draws=2, seed=3) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first, again) and first.shape == (6, 4 * 16 * 4 * 4)  # levels, channels, pixels
    assert not torch.equal(first, graph.features(base, x0, draws=2, seed=4))


def test_neighbours_are_bounded(points):
    for neighbours in (0, 240):
        with pytest.raises(ValueError, match=f"neighbours={neighbours}: must be at least 1 and below 240"):
            graph.neighbour_graph(points[0], neighbours)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"folds": 1}, "folds=1"),
        ({"ridge": 0.0}, "ridge=0.0"),
        ({"time": -1.0}, "time=-1.0"),
        ({"draws": 0}, "draws=0"),
    ],
)
def test_bad_options_are_named(option, named):
    with pytest.raises(ValueError, match=named):
        graph.GraphConfig(**option)


def test_fewer_references_than_folds_are_refused_before_the_features_are_taken():
    problem = gmm(n=50, n_reference=4)
    with pytest.raises(ValueError, match="4 reference samples: folds=5 need as many at least"):
        graph.clean_ratio(problem, None, graph.GraphConfig())
