"""A ratio on frozen features: they stay frozen, the gradient still reaches the image."""

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from tiwlib import ratio
from tiwlib.estimators.frozen import FrozenFeatures, frozen_ratio
from tiwlib.networks import parameters_of, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import weight_and_correction


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(seeded(torchvision.models.resnet18, seed=0).state_dict(), path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_only_the_head_learns_and_the_correction_is_there(weights, channels):
    network = seeded(frozen_ratio, weights, seed=0)
    frozen = {name: v.clone() for name, v in network.backbone.features.state_dict().items()}
    images = torch.randn(40, channels, 16, 16)
    fitted = ratio.fit(
        network,
        images[:20] + 1,
        images[20:] - 1,
        LogNormal(),
        steps=10,
        batch_size=32,
        lr=1e-2,
        evaluations=2,
        heldout_draws=256,
    )
    assert fitted.history.heldout_loss.iloc[-1] < fitted.history.heldout_loss.iloc[0]
    after = network.backbone.features.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in frozen.items())  # the normalisation too
    w, grad = weight_and_correction(fitted, images, torch.full((40,), 0.5), 0.5)
    assert w.shape == (40,) and grad.abs().amax((1, 2, 3)).min() > 0


def test_the_frozen_normalisation_is_frozen_from_construction(weights):
    """Whatever is called first: in training mode it would follow the batch, and one image change another's ratio."""
    network = seeded(FrozenFeatures, weights, seed=0)
    assert not any(module.training for module in network.features.modules())
    x, c_noise = torch.randn(4, 3, 16, 16), torch.zeros(4)
    assert torch.allclose(network(x, c_noise)[:1], network(x[:1], c_noise[:1]), atol=1e-5)
    assert not any(module.training for module in network.train().features.modules())


def test_the_head_is_small(weights):
    assert parameters_of(frozen_ratio(weights)) < 0.4e6


def test_what_is_no_resnet_is_refused(tmp_path, weights):
    with pytest.raises(ValueError, match="ratio_features='nowhere.pth': no such file"):
        frozen_ratio("nowhere.pth")
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(ValueError, match="text.pth': cannot be read as weights"):
        frozen_ratio(tmp_path / "text.pth")
    torch.save({"a": tmp_path}, tmp_path / "pickle.pth")  # torch would advise to load it without weights_only
    with pytest.raises(ValueError, match="pickle.pth': cannot be read as weights alone") as caught:
        frozen_ratio(tmp_path / "pickle.pth")
    assert "weights_only" not in str(caught.value)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="list.pth': holds list, no weights by name"):
        frozen_ratio(tmp_path / "list.pth")
    torch.save(load_file(weights) | {"bn1.bias": torch.zeros(3)}, tmp_path / "shape.pth")
    with pytest.raises(ValueError, match=r"shape.pth': bn1.bias has shape \(3,\); a ResNet-18's has \(64,\)"):
        frozen_ratio(tmp_path / "shape.pth")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors': not a ResNet-18, 123 tensors differ by name"):
        frozen_ratio(tmp_path / "other.safetensors")
