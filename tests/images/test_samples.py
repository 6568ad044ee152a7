"""From samples to measures: what each is made of, for images, points, rules and classifiers."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from tiwlib.data import ImageData, batch, bias
from tiwlib.measures import classifier, distances, judges, samples, shares


class Side:
    """Names points of the plane by the sign of their first coordinate; sees the points."""

    group_names = ("left", "right")

    def probabilities(self, x):
        return one_hot((x[:, 0] > 0).long(), 2)

    def features(self, x):
        return x


def points(n_left, n_right, seed=0):
    """Points around (-3, 0) and (3, 0)."""
    x = torch.randn(n_left + n_right, 2, generator=torch.Generator().manual_seed(seed)) / 2
    x[:n_left, 0] -= 3
    x[n_left:, 0] += 3
    return x


@pytest.fixture(scope="module")
def digits():
    """All digits, and a judge of a short training."""
    data = bias.load("digits-lt").data
    network, _ = classifier.fit(data, epochs=2)
    return data, network


class TestPoints:
    real, training = points(50, 50, 1), points(90, 10, 2)

    def measured(self, x, **options):
        options = {"judge": Side(), "real": self.real, "training": self.training} | options
        return samples.of_samples(x, **options)

    def test_shares_are_measured_from_the_target(self):
        even = self.measured(points(60, 20))
        assert even["group_shares"] == [0.75, 0.25] and even["minority_share"] == 0.25
        assert even["total_variation"] == even["pairwise_bias"] / 2 == 0.25
        assert even["fairness_discrepancy"] == pytest.approx(0.25 * 2**0.5)
        wanted = self.measured(points(60, 20), target=(0.7, 0.3))
        assert wanted["total_variation"] == pytest.approx(0.05) and wanted["pairwise_bias"] == 0.5
        for (low, high), share in zip(even["group_intervals"], even["group_shares"], strict=True):
            assert low < share < high

    def test_distances_are_those_of_the_features(self):
        x = points(60, 20)
        measured = self.measured(x, seed=5)
        expected = distances.between(x.double(), self.real.double(), seed=5)
        assert {name: measured[name] for name in expected} == expected
        groups, real = (x[:, 0] > 0, self.real[:, 0] > 0)
        by_group = [distances.frechet(x[groups == g], self.real[real == g]) for g in (False, True)]
        assert measured["group_frechet"] == pytest.approx(by_group, rel=1e-6)

    def test_a_group_without_samples_has_no_distance(self):
        assert self.measured(points(60, 1))["group_frechet"][1] is None

    def test_copies_of_the_training_set_have_no_distance_from_it(self):
        measured = self.measured(self.training[:20])
        assert measured["nearest"] == pytest.approx(0, abs=1e-3)
        x = self.training[:20] + torch.tensor([0.0, 1000.0])
        gap = torch.cdist(x.double(), self.training.double()).min(1).values.mean() / 2**0.5
        assert self.measured(x)["nearest"] == pytest.approx(gap.item(), rel=1e-5)

    def test_what_was_seen_once_can_be_given_again(self):
        seen = samples.see(self.real, judge=Side())
        assert self.measured(points(60, 20), real=seen) == self.measured(points(60, 20))

    def test_without_real_samples_there_are_no_distances(self):
        measured = self.measured(points(60, 20), real=None)
        assert {"total_variation", "unsure", "nearest"} <= measured.keys()
        assert not {"frechet", "precision", "group_frechet"} & measured.keys()

    def test_too_few_samples_are_refused(self):
        with pytest.raises(ValueError, match="3 of one; .* at least 4"):
            self.measured(points(2, 1))


class TestImages:
    def test_every_word_of_the_vocabulary(self, digits):
        data, network = digits
        judge = judges.ClassifierJudge(network, data.group_names)
        x, real = data.images[::9], data.images[samples.balanced(data.groups, np.full(10, 0.1))]
        measured = samples.of_samples(x, judge=judge, real=real, training=data.images[1::9])
        assert set(measured) == {
            "group_shares", "group_intervals", "minority_share", "total_variation", "fairness_discrepancy",
            "pairwise_bias", "unsure", "frechet", "kernel_distance", "kernel_distance_std",
            "kernel_distance_subset_size", "precision", "recall", "group_frechet", "nearest",
            "group_nearest",
        }  # fmt: skip
        groups = classifier.predict(network, x)
        assert measured["group_shares"] == shares.shares(groups, 10).tolist()
        assert measured["minority_share"] == (groups == 9).mean()
        assert len(measured["group_frechet"]) == 10
        weights = np.bincount(groups, minlength=10) / len(groups)
        assert weights @ measured["group_nearest"] == pytest.approx(measured["nearest"])

    def test_copies_of_one_group_are_seen_in_that_group(self, digits):
        data, network = digits
        judge = judges.ClassifierJudge(network, data.group_names)
        zeros, ones = (data.images[classifier.predict(network, data.images) == g][:40] for g in (0, 1))
        measured = samples.of_samples(
            np.concatenate([zeros, ones[:20]]),
            judge=judge,
            real=None,
            training=np.concatenate([zeros, ones[20:]]),
        )
        copied, new, *rest = measured["group_nearest"]
        assert copied == pytest.approx(0, abs=1e-3) and new > 0.1 and rest == [None] * 8

    def test_inception_in_place_of_the_judge(self, digits):
        """Its distances are called fid and kid, and the groups are still the judge's."""
        data, network = digits
        judge, looked_at = judges.ClassifierJudge(network, data.group_names), []

        def inception(images):
            looked_at.append(len(images))
            return torch.from_numpy(images).flatten(1)[:, 20:24].double()

        x, real = data.images[::9], data.images[1::9]
        options = {"real": real, "training": real, "extractor": inception}
        measured = samples.of_samples(x, judge=judge, **options)
        flat = [torch.from_numpy(part).flatten(1)[:, 20:24].double() for part in (x, real)]
        assert measured["fid"] == pytest.approx(distances.frechet(*flat))
        assert "frechet" not in measured and "group_frechet" not in measured and "total_variation" in measured
        assert sum(looked_at) == len(x) + len(real)
        ungrouped = samples.of_samples(x, judge=None, **options)
        assert ungrouped["fid"] == measured["fid"] and "group_shares" not in ungrouped

    def test_images_without_groups_have_the_nearest_alone(self, digits):
        data, _ = digits
        options = {"judge": None, "real": data.images[:90], "training": data.images}
        assert samples.of_samples(data.images[:9], **options) == {"nearest": pytest.approx(0, abs=1e-3)}

    def test_unsure_is_the_share_that_no_class_has_nine_tenths_of(self, digits):
        data, network = digits
        judge = judges.ClassifierJudge(network, data.group_names)
        noise = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
        x = np.concatenate([data.images[::18], noise])
        with torch.no_grad():
            likeliest = network(batch(x, np.arange(len(x)))).softmax(1).amax(1).numpy()
        measured = samples.of_samples(x, judge=judge, real=None, training=data.images)
        assert measured["unsure"] == (likeliest < 0.9).mean() and 0 < measured["unsure"] < 1


class TestClassifierJudge:
    def test_points_and_images_bytes_and_numbers_are_the_same_to_it(self, digits):
        data, network = digits
        judge = judges.ClassifierJudge(network, data.group_names, shape=(1, 8, 8))
        x = batch(data.images, np.arange(0, 1797, 60))
        for form in (x.flatten(1), data.images[::60]):
            assert torch.equal(judge.probabilities(form), judge.probabilities(x))
            assert torch.allclose(judge.features(form), judge.features(x), rtol=0, atol=1e-5)

    def test_a_group_of_several_classes_has_its_likeliest_class(self, digits):
        data, network = digits
        x = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
        halves = judges.ClassifierJudge(network, ("low", "high"), groups=[0] * 5 + [1] * 5)
        classes = judges.ClassifierJudge(network, data.group_names)
        assert (halves.probabilities(x).argmax(1) == (classes.probabilities(x).argmax(1) > 4)).all()
        assert torch.equal(halves.probabilities(x).amax(1), classes.probabilities(x).amax(1))

    def test_classes_in_no_group_are_not_named_but_make_it_unsure(self, digits):
        data, network = digits
        pair = judges.ClassifierJudge(network, ("0", "1"), groups=[0, 1])
        eights = pair.probabilities(data.images[data.groups == 8])
        assert eights.shape[1] == 2 and (eights.amax(1) < 0.9).double().mean() > 0.8

    def test_features_do_not_depend_on_the_batch(self, digits):
        data, network = digits
        judge = judges.ClassifierJudge(network, data.group_names)
        one, many = (samples.features(judge.features, data.images[:40], batch_size=b) for b in (1, 40))
        assert one.shape == (40, 64) and torch.allclose(one, many, rtol=0, atol=1e-12)

    def test_frechet_distance_is_the_formula_and_orders_damage(self, digits):
        """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) by SciPy's matrix root, on features in float32."""
        from scipy.linalg import sqrtm

        data, network = digits
        rng = np.random.default_rng(0)
        order = rng.permutation(len(data.images))
        a, b = data.images[order[:800]], data.images[order[800:1600]]
        noisy = np.clip(b + rng.normal(0, 60, b.shape), 0, 255).astype(np.uint8)
        judge = judges.ClassifierJudge(network, data.group_names)
        near, far = (samples.of_samples(a, judge=judge, real=x, training=b) for x in (b, noisy))
        assert near["frechet"] < far["frechet"] and near["precision"] > far["precision"]
        g = [network.features(batch(x, np.arange(800))).double().numpy() for x in (a, noisy)]
        mu, cov = [x.mean(0) for x in g], [np.cov(x, rowvar=False) for x in g]
        root = sqrtm(cov[0] @ cov[1] + 1e-12 * np.eye(64)).real
        expected = ((mu[0] - mu[1]) ** 2).sum() + np.trace(cov[0] + cov[1] - 2 * root)
        assert far["frechet"] == pytest.approx(expected, rel=1e-2)

    def test_a_device_without_float64_is_left(self):
        assert judges.with_float64("mps").type == "cpu"
        assert judges.with_float64(torch.device("cuda", 1)) == torch.device("cuda", 1)


def test_a_new_measure_is_a_function_in_the_list(monkeypatch):
    def mean_of_samples(judged):
        return {"mean": float(judged.samples.mean())}

    monkeypatch.setattr(samples, "MEASURES", [*samples.MEASURES, mean_of_samples])
    x = points(4, 4)
    measured = samples.of_samples(x, judge=Side(), real=None, training=x)
    assert measured["mean"] == pytest.approx(x.mean().item()) and "total_variation" in measured


def test_a_balanced_subset_has_the_target_shares():
    groups = np.array([0] * 50 + [1] * 20 + [2] * 30)
    chosen = samples.balanced(groups, np.array([0.5, 0.25, 0.25]))
    assert np.bincount(groups[chosen]).tolist() == [40, 20, 20]
    assert np.bincount(groups[samples.balanced(groups, np.array([0.5, 0.5, 0.0]))]).tolist() == [20, 20]


def test_a_set_is_named_by_its_images():
    both = [ImageData("mine", None, None, (), digit * 64) for digit in "01"]
    hashes = {samples.set_hash(data, np.array(rows)) for data in both for rows in ([0, 1], [0, 2])}
    assert len(hashes) == 4
