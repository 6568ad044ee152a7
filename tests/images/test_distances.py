"""Distances between sets of images against closed forms, and where their networks come from."""

import os
import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch

from tiwlib.data import ImageData, batch, bias
from tiwlib.measures import classifier, distances

from torch_fidelity import FeatureExtractorInceptionV3, calculate_metrics  # isort: skip


def images_named(name, groups=None):
    names = () if groups is None else ("a", "b")
    return ImageData(name, np.zeros((4, 3, 8, 8), np.uint8), groups, names, "0" * 64)


def test_a_balanced_subset_has_the_target_shares():
    groups = np.array([0] * 50 + [1] * 20 + [2] * 30)
    chosen = distances.balanced(groups, np.array([0.5, 0.25, 0.25]))
    assert np.bincount(groups[chosen]).tolist() == [40, 20, 20]
    assert np.bincount(groups[distances.balanced(groups, np.array([0.5, 0.5, 0.0]))]).tolist() == [20, 20]


def test_bytes_and_numbers_are_inverse():
    images = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    assert (distances.to_uint8(batch(images, np.arange(4))) == images).all()
    assert distances.to_uint8(torch.tensor([[-3.0, 3.0]])).tolist() == [[0, 255]]


def test_nearest_training_image_is_found():
    training = np.zeros((3, 1, 2, 2), np.uint8)
    training[1] = 255
    images = training[[1, 0]].copy()
    images[1, 0, 0, 0] = 51  # 0.4 of the range of 2, in one pixel of four
    found, index = distances.nearest(images, training)
    assert index.tolist()[0] == 1 and found[0] == 0
    assert found[1] == pytest.approx(0.4 / 2, abs=1e-6)


class TestBetween:
    """Features that are given: what the distances are made of is torch-fidelity's, that they are these is ours."""

    def features(self, n, shift=0.0, seed=0):
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 4)))
        x = x - x.mean(0)
        x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T  # covariance the identity, exactly
        return x + shift

    def test_a_shift_of_white_features_has_its_square_as_frechet_distance(self):
        found = distances.between("inception", self.features(500, 0.5), self.features(600, seed=1))
        assert found["fid"] == pytest.approx(4 * 0.5**2, abs=1e-6)

    def test_a_set_has_no_distance_from_itself(self):
        x = self.features(300)
        found = distances.between("classifier", x, x)
        assert found["classifier_frechet"] == pytest.approx(0, abs=1e-6)
        assert found["precision"] == found["recall"] == 1
        assert found["classifier_kernel_distance"] < 0.05  # below zero: subsets share images

    def test_sets_far_apart_share_nothing(self):
        found = distances.between("inception", self.features(100, 50), self.features(100, seed=1))
        assert found["precision"] == found["recall"] == 0 and found["kid"] > 1

    def test_the_kernel_distance_is_the_formula(self):
        """Unbiased MMD^2 with k(x, y) = (x.y / d + 1)^3, by two sums, over all pairs at once."""
        x, y = self.features(900, 0.7), self.features(900, seed=1)
        k = lambda a, b: (a @ b.T / 4 + 1) ** 3  # noqa: E731
        off = lambda m: (m.sum() - m.trace()) / (900 * 899)  # noqa: E731
        whole = (off(k(x, x)) + off(k(y, y)) - 2 * k(x, y).mean()).item()
        found = distances.between("inception", x, y)
        assert found["kid_subset_size"] == 450
        assert found["kid"] == pytest.approx(whole, abs=4 * found["kid_std"] / 10)  # mean of 100 subsets

    def test_subsets_never_exceed_the_smaller_set(self, monkeypatch):
        found = distances.between("classifier", self.features(5), self.features(400, seed=1))
        assert found["classifier_kernel_distance_subset_size"] == 2
        keys = ("kernel_inception_distance_mean", "kernel_inception_distance_std")
        monkeypatch.setattr(distances, "kid_features_to_metric", lambda *a, **k: dict.fromkeys(keys, 0.0))
        big = distances.between("classifier", self.features(2500), self.features(2500, seed=1))
        assert big["classifier_kernel_distance_subset_size"] == 1000
        with pytest.raises(ValueError, match="3 images: .* at least 4"):
            distances.between("classifier", self.features(5)[:3], self.features(50))

    def test_no_distance_of_a_classifier_is_called_fid(self):
        found = distances.between("classifier", self.features(50), self.features(50, seed=1))
        assert not any("fid" in key or "kid" in key or "inception" in key for key in found)


class TestChoice:
    def test_what_suits_the_data(self):
        groups = np.array([0, 0, 1, 1])
        assert distances.choose("", images_named("cifar10 from folder", groups), 10) == "inception"
        assert distances.choose("", images_named("celeba", groups), 10) == "inception"
        assert distances.choose("", images_named("digits", groups), 10) == "classifier"
        assert distances.choose("", images_named("mine"), 10) == "none"
        assert distances.choose("inception", images_named("mine"), 10) == "inception"
        assert distances.choose("classifier", images_named("cifar10", groups), 10) == "classifier"

    @pytest.mark.parametrize(
        "asked, n, message",
        [
            ("fid", 10, "feature_extractor='fid': must be one of inception, classifier, none"),
            ("classifier", 10, "feature_extractor='classifier': the images have no groups"),
            ("inception", 3, "n_samples=3: .* at least 4"),
        ],
    )
    def test_what_is_refused(self, asked, n, message):
        with pytest.raises(ValueError, match=message):
            distances.choose(asked, images_named("mine"), n)


class Trap:
    """A pickle that would leave a file behind where it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class TestWeights:
    def test_a_path_that_is_not_there_is_named_with_the_way_out(self):
        with pytest.raises(FileNotFoundError) as error:
            distances.inception_weights("nowhere.pth")
        for part in ("inception_weights='nowhere.pth'", distances.INCEPTION, "feature_extractor classifier"):
            assert part in str(error.value)

    @pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("invalid hash value")])
    def test_a_download_that_fails_is_named_with_the_way_out(self, error, monkeypatch, tmp_path):
        asked = {}

        def fetch(url, path, hash_prefix, progress):
            asked.update(url=url, hash_prefix=hash_prefix)
            raise error

        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr("torch.hub.download_url_to_file", fetch)
        with pytest.raises(FileNotFoundError) as found:
            distances.inception_weights()
        assert asked["hash_prefix"] == "6726825d" and asked["url"].endswith(distances.INCEPTION)
        assert all(
            part in str(found.value) for part in ("inception_weights", asked["url"], "-p feature_extractor")
        )

    @pytest.mark.parametrize(
        "content", [{"fc.weight": torch.zeros(10, 3)}, {"other": torch.zeros(1)}, [1, 2], b"cut short", b""]
    )
    def test_another_file_is_refused(self, content, tmp_path):
        path = tmp_path / "other.pth"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(ValueError, match=r"inception_weights='.*other.pth': "):
            distances.inception_weights(path)

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    @pytest.mark.parametrize("save", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
    def test_no_pickle_is_run(self, save, tmp_path):
        save({"fc.weight": Trap(str(tmp_path / "sprung"))}, tmp_path / "trap.pth")
        with pytest.raises(ValueError, match="not Inception's weights"):
            distances.inception_weights(tmp_path / "trap.pth")
        with pytest.raises(pickle.UnpicklingError):
            distances.Inception(tmp_path / "trap.pth")
        assert not (tmp_path / "sprung").exists()

    def test_the_switch_is_put_back(self, monkeypatch):
        name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
        for before in (None, "0"):
            monkeypatch.delenv(name, raising=False)
            if before:
                monkeypatch.setenv(name, before)
            with distances.tensors_only():
                assert os.environ[name] == "1"
            assert os.environ.get(name) == before


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """Inception's shape with random weights, in the format of the real file."""
    path = tmp_path_factory.mktemp("inception") / "stand-in.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(
            "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {}
        )
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("stand-in", ["2048"])
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):  # so that features neither vanish nor explode
                torch.nn.init.kaiming_normal_(module.weight)
        torch.save(network.state_dict(), path)
    return path


@pytest.mark.slow
class TestInception:
    images = np.random.default_rng(0).integers(0, 256, (14, 3, 32, 32), dtype=np.uint8)

    def test_features_do_not_depend_on_the_batch(self, stand_in):
        network = distances.Inception(distances.inception_weights(stand_in))
        assert {p.dtype for p in network.parameters()} == {torch.float64}, "0.4.0 ignores its own float64"
        rows = np.arange(14)
        one, many = (distances.features(network, self.images, rows, batch_size=b) for b in (1, 14))
        assert one.shape == (14, 2048) and one.dtype == torch.float64 and one.std() > 0.01
        assert (one != many).double().mean() < 1e-3  # in float32 most may differ in the last bits

    def test_grey_images_are_seen_as_grey_colours(self, stand_in):
        network = distances.Inception(stand_in)
        grey = self.images[:2, :1]
        found = distances.features(network, grey, np.arange(2))
        assert torch.equal(found, distances.features(network, grey.repeat(3, 1), np.arange(2)))

    def test_fid_and_kid_are_those_of_torch_fidelity(self, stand_in):
        class Images(torch.utils.data.Dataset):
            def __init__(self, images):
                self.images = images

            def __len__(self):
                return len(self.images)

            def __getitem__(self, i):
                return torch.from_numpy(self.images[i])

        a, b = self.images[:7], self.images[7:] // 2
        with distances.tensors_only():
            expected = calculate_metrics(
                input1=Images(a), input2=Images(b), fid=True, kid=True, kid_subset_size=3, batch_size=2,
                feature_extractor_weights_path=str(stand_in), cuda=False, save_cpu_ram=True, cache=False,
                verbose=False, rng_seed=5, feature_extractor_internal_dtype="float64",
            )  # fmt: skip
        network = distances.Inception(stand_in)
        found = distances.between(
            "inception", *(distances.features(network, x, np.arange(7)) for x in (a, b)), seed=5
        )
        assert found["fid"] == pytest.approx(
            expected["frechet_inception_distance"], rel=1e-4
        )  # float32 means
        assert found["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)


def test_features_in_float64_do_not_depend_on_the_batch():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = distances.classifier_features(classifier.Classifier(1, 10).eval())
    images = bias.load("digits-lt").data.images
    one, many = (distances.features(network, images, np.arange(40), batch_size=b) for b in (1, 40))
    assert one.shape == (40, 64) and torch.allclose(one, many, rtol=0, atol=1e-13)


def test_a_set_is_named_by_its_images():
    data, other = images_named("mine"), ImageData("mine", None, None, (), "1" * 64)
    hashes = {distances.set_hash(d, np.array(r)) for d in (data, other) for r in ([0, 1], [0, 2])}
    assert len(hashes) == 4


@pytest.fixture(scope="module")
def digits_classifier():
    data = bias.load("digits-lt").data
    return data, classifier.fit(data, epochs=2)[0]


def test_classifier_frechet_distance_is_the_formula_and_orders_damage(digits_classifier):
    """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) by SciPy's matrix root, on the same features."""
    from scipy.linalg import sqrtm

    data, trained = digits_classifier
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.images))
    a, b = data.images[order[:800]], data.images[order[800:1600]]
    noisy = np.clip(b + rng.normal(0, 60, b.shape), 0, 255).astype(np.uint8)
    network = distances.classifier_features(trained)
    f, near, far = (distances.features(network, images, np.arange(800)) for images in (a, b, noisy))
    close, damaged = (distances.between("classifier", f, other) for other in (near, far))
    assert close["classifier_frechet"] < damaged["classifier_frechet"]
    assert close["precision"] > damaged["precision"]
    g = [
        trained.features(batch(x, np.arange(800))).double().numpy() for x in (a, noisy)
    ]  # float32, another route
    mu, cov = [x.mean(0) for x in g], [np.cov(x, rowvar=False) for x in g]
    root = sqrtm(cov[0] @ cov[1] + 1e-12 * np.eye(64)).real
    expected = ((mu[0] - mu[1]) ** 2).sum() + np.trace(cov[0] + cov[1] - 2 * root)
    assert damaged["classifier_frechet"] == pytest.approx(expected, rel=1e-2)


def test_a_device_without_float64_is_left():
    assert distances.with_float64(torch.device("mps")).type == "cpu"
    assert distances.with_float64(torch.device("cuda", 1)) == torch.device("cuda", 1)


def test_precision_and_recall_see_every_kth_image_of_a_large_set_and_few_pairs_at_once(monkeypatch):
    """The parts that are held at once change nothing, up to ties within rounding, of which these sets have none."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(90, 4, generator=generator, dtype=torch.float64)
    real = 0.5 + torch.randn(250, 4, generator=generator, dtype=torch.float64)
    names = ("precision", "recall")
    whole = distances.between("classifier", samples, real)
    monkeypatch.setattr(distances, "PAIRS", 1000)
    in_parts = distances.between("classifier", samples, real)
    assert all(in_parts[name] == whole[name] for name in names) and 0 < whole["precision"] < 1
    third = distances.between("classifier", samples, real[::3])  # 84 of 250: the smallest k for at most 100
    monkeypatch.setattr(distances, "THINNED", 100)
    thinned = distances.between("classifier", samples, real)
    assert all(thinned[name] == third[name] for name in names)
    assert thinned["classifier_frechet"] == whole["classifier_frechet"], "distances see all of them"
