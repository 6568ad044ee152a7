"""Let torchvision import beside a CPU-only torch.

torchvision's wheel is built for CUDA; beside a CPU torch its import fails because two compiled operators are
missing. Nothing here calls them, so declaring their schemas is enough. Where torchvision imports, this does
nothing. `torchvision.ops.nms` and `torchvision.io.read_image` stay unusable in that case.
"""

import sys

import torch

_declared = []  # the schemas live as long as the Library object does


def ensure_importable() -> None:
    """Import torchvision, declaring its two compiled operators first if exactly they are missing."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        import torchvision  # noqa: F401


ensure_importable()
