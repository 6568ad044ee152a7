"""Distances between sets of features and to the nearest training sample, against closed forms."""

import numpy as np
import pytest
import torch

from tiwlib.data import batch
from tiwlib.measures import distances


def test_bytes_and_numbers_are_inverse():
    images = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    assert (distances.to_uint8(batch(images, np.arange(4))) == images).all()
    assert distances.to_uint8(torch.tensor([[-3.0, 3.0]])).tolist() == [[0, 255]]


class TestNearest:
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 4, 4), dtype=np.uint8)

    def test_it_is_the_smallest_root_mean_square(self):
        training = np.zeros((3, 1, 2, 2), np.uint8)
        training[1] = 255
        images = training[[1, 0]].copy()
        images[1, 0, 0, 0] = 51  # 0.4 of the range of 2, in one pixel of four
        distance, index = distances.nearest(images, training)
        assert index.tolist()[0] == 1 and distance[0] == 0
        assert distance[1] == pytest.approx(0.4 / 2, abs=1e-6)

    @pytest.mark.parametrize("chunk", [1, 2, 5])
    def test_chunks_of_the_training_set_change_nothing(self, chunk):
        """The nearest stands in the first chunk, in a middle one and in the last: index and distance are its own."""
        training = np.random.default_rng(1).integers(0, 256, (7, 1, 4, 4), dtype=np.uint8)
        for i, place in enumerate((0, 3, 6)):
            training[place] = self.images[i]
            training[place, 0, 0, 0] ^= 1
        distance, index = distances.nearest(self.images, training, chunk=chunk)
        assert index.tolist()[:3] == [0, 3, 6]
        gaps = (self.images[:, None].astype(float) - training) / 127.5  # (6, 7, 1, 4, 4)
        expected = np.sqrt((gaps**2).mean((2, 3, 4)))
        assert index.tolist() == expected.argmin(1).tolist()
        assert distance == pytest.approx(expected.min(1), abs=1e-3)  # float32

    def test_numbers_are_taken_as_they_are(self):
        points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        distance, index = distances.nearest(points[:1] + 0.1, points)
        assert index.tolist() == [0] and distance[0] == pytest.approx(0.1)


class TestPrecisionAndRecall:
    def test_samples_in_one_corner_of_the_real_set_are_precise_and_recall_little(self):
        real = torch.cat([torch.randn(50, 2), torch.randn(50, 2) + 40]).double()
        samples = real[:50] * 0.99
        precision, recall = distances.precision_recall(samples, real)
        assert precision > 0.9 and recall < 0.6
        precision, recall = distances.precision_recall(real, samples)
        assert precision < 0.6 and recall > 0.9

    def test_a_sample_counts_within_the_third_neighbour_of_a_real_one(self):
        """On a line with unequal gaps: the radius of a real point is the distance to its third neighbour."""
        real = torch.tensor([[0.0], [1.0], [2.5], [4.5], [7.0], [10.0], [20.0]]).double()
        gaps = (real - real.T).abs()
        third, fourth = (gaps.sort(1).values[:, k] for k in (3, 4))
        assert third[-1] == 15.5 and fourth[-1] == 17.5
        samples = torch.tensor([[20 + 15.4], [20 + 15.6], [100.0], [0.1]]).double()
        assert distances.precision_recall(samples, real)[0] == 0.5


class TestBetween:
    """Features that are given: what the distances are made of is torch-fidelity's, that they are these is ours."""

    def features(self, n, shift=0.0, seed=0):
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 4)))
        x = x - x.mean(0)
        x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T  # covariance the identity, exactly
        return x + shift

    def test_a_shift_of_white_features_has_its_square_as_frechet_distance(self):
        measured = distances.between(self.features(500, 0.5), self.features(600, seed=1))
        assert measured["frechet"] == pytest.approx(4 * 0.5**2, abs=1e-6)

    def test_a_set_has_no_distance_from_itself(self):
        x = self.features(300)
        measured = distances.between(x, x)
        assert measured["frechet"] == pytest.approx(0, abs=1e-6)
        assert measured["precision"] == measured["recall"] == 1
        assert measured["kernel_distance"] < 0.05  # below zero: subsets share images

    def test_sets_far_apart_share_nothing(self):
        measured = distances.between(self.features(100, 50), self.features(100, seed=1))
        assert measured["precision"] == measured["recall"] == 0 and measured["kernel_distance"] > 1

    def test_the_kernel_distance_is_the_formula(self):
        """Unbiased MMD^2 with k(x, y) = (x.y / d + 1)^3, by two sums, over all pairs at once."""
        x, y = self.features(900, 0.7), self.features(900, seed=1)
        k = lambda a, b: (a @ b.T / 4 + 1) ** 3  # noqa: E731
        off = lambda m: (m.sum() - m.trace()) / (900 * 899)  # noqa: E731
        whole = (off(k(x, x)) + off(k(y, y)) - 2 * k(x, y).mean()).item()
        measured = distances.between(x, y)
        assert measured["kernel_distance_subset_size"] == 450
        deviation = measured["kernel_distance_std"] / 10  # of the mean of 100 subsets
        assert measured["kernel_distance"] == pytest.approx(whole, abs=4 * deviation)

    def test_subsets_never_exceed_the_smaller_set(self, monkeypatch):
        measured = distances.between(self.features(5), self.features(400, seed=1))
        assert measured["kernel_distance_subset_size"] == 2
        keys = ("kernel_inception_distance_mean", "kernel_inception_distance_std")
        monkeypatch.setattr(distances, "kid_features_to_metric", lambda *a, **k: dict.fromkeys(keys, 0.0))
        big = distances.between(self.features(2500), self.features(2500, seed=1))
        assert big["kernel_distance_subset_size"] == 1000
        with pytest.raises(ValueError, match="samples, real: 3 of one; .* at least 4"):
            distances.between(self.features(5)[:3], self.features(50))

    def test_only_distances_in_inception_s_features_are_called_fid_and_kid(self):
        x, y = self.features(50), self.features(50, seed=1)
        ours, fields = distances.between(x, y, seed=3), distances.between(x, y, inception=True, seed=3)
        assert not any("fid" in key or "kid" in key or "inception" in key for key in ours)
        renamed = {key.replace("frechet", "fid").replace("kernel_distance", "kid"): ours[key] for key in ours}
        assert fields == renamed

    def test_the_seed_draws_the_subsets(self):
        x, y = self.features(60, 0.5), self.features(60, seed=1)
        one, same, other = (distances.kernel_distance(x, y, seed) for seed in (0, 0, 1))
        assert one == same != other


def test_precision_and_recall_see_every_kth_image_of_a_large_set_and_few_pairs_at_once(monkeypatch):
    """The parts that are held at once change nothing, up to ties within rounding, of which these sets have none."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(90, 4, generator=generator, dtype=torch.float64)
    real = 0.5 + torch.randn(250, 4, generator=generator, dtype=torch.float64)
    names = ("precision", "recall")
    whole = distances.between(samples, real)
    monkeypatch.setattr(distances, "PAIRS", 1000)
    in_parts = distances.between(samples, real)
    assert all(in_parts[name] == whole[name] for name in names) and 0 < whole["precision"] < 1
    third = distances.between(samples, real[::3])  # 84 of 250: the smallest k for at most 100
    monkeypatch.setattr(distances, "THINNED", 100)
    thinned = distances.between(samples, real)
    assert all(thinned[name] == third[name] for name in names)
    assert thinned["frechet"] == whole["frechet"], "distances see all of them"
