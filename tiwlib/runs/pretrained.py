"""A denoiser of images as a folder that diffusers loads, and back: nothing is unpickled, everything is checked."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import copy
import json
from pathlib import Path

import torch
from diffusers import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from tiwlib.backbones import UNet
from tiwlib.networks import DenoiserNet
from tiwlib.runs.cache import naming, sha256, write_json
from tiwlib.runs.states import first_unusable

WEIGHTS = "diffusion_pytorch_model.safetensors"
BESIDE = "preconditioning.json"


def save_pretrained(denoiser: DenoiserNet, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write a denoiser of images as a diffusers folder, which UNet2DModel.from_pretrained loads; returns the folder.

    What is around the U-Net, EDM's preconditioning, stands in preconditioning.json beside it, with the weights' sha256.
    dtype: of the weights in the file; float16 halves it. A disk that takes no more is an OSError that names the folder.
    """
    model = copy.deepcopy(denoiser.backbone.model)
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
    with naming(folder):
        model.save_pretrained(folder)
    write_json(folder / BESIDE, {"sigma_data": denoiser.sigma_data, "sha256": sha256(folder / WEIGHTS)})
    return folder


def load_pretrained(folder: Path) -> DenoiserNet:
    """The denoiser that save_pretrained wrote, in float32 on the CPU, ready to sample from.

    A file that is missing or unreadable, weights of another hash, and a weight that is missing, of another shape or
    not finite, are a ValueError that names the file.
    """
    folder = Path(folder)
    if not (folder / BESIDE).exists():
        raise ValueError(f"folder={str(folder)!r}: holds no {BESIDE}; was it written by save_pretrained?")
    path = folder / WEIGHTS
    try:
        about = json.loads((folder / BESIDE).read_text())
        sigma_data, wanted = float(about["sigma_data"]), about["sha256"]
        if sha256(path) != wanted:
            raise ValueError(f"its sha256 must be {wanted}")
        model = UNet2DModel.from_config(json.loads((folder / "config.json").read_text()))
        tensors = load_file(path)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be loaded ({error})") from error
    if name := first_unusable(tensors, model.state_dict()):
        raise ValueError(f"{path}: {name} is missing, of another shape, or not finite")
    model.load_state_dict(tensors)  # refuses what is beyond
    return DenoiserNet(UNet(model=model), sigma_data).requires_grad_(False).eval()
