"""Inception's features: when they are taken, and that no other file is ever opened in its place."""

import hashlib
import os
import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch

from tiwlib.data import ImageData
from tiwlib.measures import distances, inception, samples

from torch_fidelity import FeatureExtractorInceptionV3, calculate_metrics  # isort: skip


def images_named(name, groups=None, natural=False):
    names = () if groups is None else ("a", "b")
    return ImageData(name, np.zeros((4, 3, 8, 8), np.uint8), groups, names, "0" * 64, natural)


class TestChoice:
    def test_what_suits_the_data(self):
        groups = np.array([0, 0, 1, 1])
        photographs, digits = (
            images_named("photographs", groups, natural=True),
            images_named("digits", groups),
        )
        assert inception.choose("", photographs, 10) == "inception"
        assert inception.choose("", digits, 10) == "classifier"
        assert inception.choose("", images_named("mine"), 10) == "none"
        assert inception.choose("inception", images_named("mine"), 10) == "inception"
        assert inception.choose("classifier", photographs, 10) == "classifier"

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
            inception.choose(asked, images_named("mine"), n)


class Trap:
    """A pickle that would leave a file behind where it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class TestWeights:
    def test_a_path_that_is_not_there_is_named_with_the_way_out(self):
        with pytest.raises(FileNotFoundError) as error:
            inception.weights("nowhere.pth")
        for part in ("inception_weights='nowhere.pth'", inception.NAME, "feature_extractor classifier"):
            assert part in str(error.value)

    @pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("invalid hash value")])
    def test_a_download_that_fails_is_named_with_the_way_out(self, error, monkeypatch, tmp_path):
        asked = {}

        def fetch(url, path, hash_prefix, progress):
            asked.update(url=url, path=path, hash_prefix=hash_prefix)
            raise error

        monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path))
        monkeypatch.setattr("torch.hub.download_url_to_file", fetch)
        with pytest.raises(FileNotFoundError) as raised:
            inception.weights()
        assert asked["hash_prefix"] == inception.SHA256 and asked["url"].endswith(inception.NAME)
        assert asked["path"].startswith(str(tmp_path)), "a folder of our own, not torch's"
        assert inception.SHA256[:8] == inception.NAME[-12:-4], "the published hash is in the name"
        for part in ("inception_weights", asked["url"], "-p feature_extractor"):
            assert part in str(raised.value)

    @pytest.mark.parametrize(
        "content", [{"fc.weight": torch.zeros(1008, 2048)}, {"other": torch.zeros(1)}, b"cut short", b""]
    )
    def test_another_file_is_refused(self, content, tmp_path):
        path = tmp_path / "other.pth"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(ValueError, match=r"inception_weights='.*other.pth': sha256 "):
            inception.weights(path)

    def test_another_file_in_our_own_folder_is_refused(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path))
        (tmp_path / "inception").mkdir()
        torch.save({"fc.weight": torch.zeros(1008, 2048)}, tmp_path / "inception" / inception.NAME)
        with pytest.raises(ValueError, match="is not that of Inception's published weights"):
            inception.weights()

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    @pytest.mark.parametrize("save", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
    def test_no_pickle_is_run_nor_even_opened(self, save, tmp_path, monkeypatch):
        path = tmp_path / "trap.pth"
        save({"fc.weight": Trap(str(tmp_path / "sprung"))}, path)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "load", lambda *a, **k: pytest.fail("opened"))
            for refuse in (inception.weights, inception.Inception):
                with pytest.raises(ValueError, match="sha256 .* is not that of"):
                    refuse(path)
        monkeypatch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        with pytest.raises(
            pickle.UnpicklingError
        ):  # were its hash right, tensors would still be all it may hold
            inception.Inception(path)
        assert not (tmp_path / "sprung").exists()

    def test_the_switch_is_put_back(self, monkeypatch):
        name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
        for before in (None, "0"):
            monkeypatch.delenv(name, raising=False)
            if before:
                monkeypatch.setenv(name, before)
            with inception.tensors_only():
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        yield path


@pytest.mark.slow
class TestInception:
    images = np.random.default_rng(0).integers(0, 256, (14, 3, 32, 32), dtype=np.uint8)

    def test_features_do_not_depend_on_the_batch(self, stand_in):
        network = inception.Inception(inception.weights(stand_in))
        assert {p.dtype for p in network.parameters()} == {torch.float64}, "0.4.0 ignores its own float64"
        rows = np.arange(14)
        one, many = (samples.features(network, self.images, rows, batch_size=b) for b in (1, 14))
        assert one.shape == (14, 2048) and one.dtype == torch.float64 and one.std() > 0.01
        assert (one != many).double().mean() < 1e-3  # in float32 most may differ in the last bits

    def test_grey_images_are_seen_as_grey_colours(self, stand_in):
        network = inception.Inception(stand_in)
        grey = self.images[:2, :1]
        measured = samples.features(network, grey, np.arange(2))
        assert torch.equal(measured, samples.features(network, grey.repeat(3, 1), np.arange(2)))

    def test_fid_and_kid_are_those_of_torch_fidelity(self, stand_in):
        class Images(torch.utils.data.Dataset):
            def __init__(self, images):
                self.images = images

            def __len__(self):
                return len(self.images)

            def __getitem__(self, i):
                return torch.from_numpy(self.images[i])

        a, b = self.images[:7], self.images[7:] // 2
        with inception.tensors_only():
            expected = calculate_metrics(
                input1=Images(a), input2=Images(b), fid=True, kid=True, kid_subset_size=3, batch_size=2,
                feature_extractor_weights_path=str(stand_in), cuda=False, save_cpu_ram=True, cache=False,
                verbose=False, rng_seed=5, feature_extractor_internal_dtype="float64",
            )  # fmt: skip
        network = inception.Inception(stand_in)
        measured = distances.between(*(samples.features(network, x) for x in (a, b)), inception=True, seed=5)
        assert measured["fid"] == pytest.approx(
            expected["frechet_inception_distance"], rel=1e-4
        )  # float32 means
        assert measured["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
