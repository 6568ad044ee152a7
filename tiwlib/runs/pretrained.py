"""A denoiser of images as a folder that diffusers loads, and back."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import json
from pathlib import Path

from diffusers import UNet2DModel

from tiwlib.backbones import UNet
from tiwlib.networks import DenoiserNet


def save_pretrained(denoiser: DenoiserNet, folder: Path) -> Path:
    """Write a denoiser of images as a diffusers folder, which UNet2DModel.from_pretrained loads; returns the folder.

    What is around the U-Net, EDM's preconditioning, stands in preconditioning.json beside it.
    """
    denoiser.backbone.model.save_pretrained(folder)
    (folder / "preconditioning.json").write_text(json.dumps({"sigma_data": denoiser.sigma_data}) + "\n")
    return folder


def load_pretrained(folder: Path) -> DenoiserNet:
    """The denoiser that save_pretrained wrote, on the CPU, ready to sample from."""
    folder = Path(folder)
    if not (folder / "preconditioning.json").exists():
        raise ValueError(
            f"folder={str(folder)!r}: holds no preconditioning.json; was it written by save_pretrained?"
        )
    sigma_data = json.loads((folder / "preconditioning.json").read_text())["sigma_data"]
    backbone = UNet(model=UNet2DModel.from_pretrained(folder, use_safetensors=True))
    return DenoiserNet(backbone, sigma_data).requires_grad_(False).eval()
