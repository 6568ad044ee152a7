"""Let torchvision import beside a CPU-only torch.

torchvision's wheel is built for CUDA; beside a CPU torch its compiled part does not load, and its import fails
for want of two operators. Nothing here calls them, so declaring their schemas is enough. Where the compiled
part loads, this does nothing. In the other case `torchvision.ops.nms` and `torchvision.io.read_image` stay
unusable. torchvision itself is imported by whoever needs it, for it takes a second and 85 MB.
"""

import importlib.util
from pathlib import Path

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared = []  # the schemas live as long as the Library object does


def declare_missing_operators() -> None:
    """Load torchvision's compiled operators, or declare the two that its import asks for."""
    folder = Path(importlib.util.find_spec("torchvision").origin).parent
    try:
        torch.ops.load_library(next(folder.glob("_C*.so")))
    except (OSError, StopIteration):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in SCHEMAS:
            library.define(schema)
        _declared.append(library)


declare_missing_operators()
