"""Parameters and operations of every network beside the paper's, and what differs: python benchmarks/networks.py

Nothing is computed: the networks live on torch's meta device, so it takes seconds on any machine.
"""

import pandas as pd
import torch
from loops import WORKLOADS, gflop

from tiwlib.networks import parameters_of

PAPER = {
    "denoiser, 32 pixels": (55.7, 42),
    "ratio, frozen extractor": (47.8, None),
    "ratio, its head": (2.9, None),
}
DIFFERS = """What differs from DDPM++ (the paper's denoiser), and why
  resampling     convolution with stride, and nearest neighbour then convolution; DDPM++ has residual blocks there
  attention      in all five decoder blocks at 16 pixels, in DDPM++ in one of five: diffusers has no such block
  first layer    3 to 256 channels; DDPM++ has 3 to 128, and so a narrower first skip
  skips          plain sums; DDPM++ divides a residual sum by sqrt(2)
  augmentation   flips; the paper's other transforms (12 %, told to the network) are left out
The same: channels, layers a level, one attention head, width of the noise embedding, group norm, SiLU, dropout.
The ratio is an encoder of its own, trained on flips as the denoiser is; `ratio_features` adds frozen features."""


def main() -> None:
    with torch.device("meta"):
        networks = {
            "denoiser, digits": (WORKLOADS["digits"].denoiser(), 1, 8),
            "denoiser, MNIST": (WORKLOADS["mnist"].denoiser(), 1, 28),
            "denoiser, 32 pixels": (WORKLOADS["paper"].denoiser(), 3, 32),
            "denoiser, 64 pixels": (WORKLOADS["celeba"].denoiser(), 3, 64),
            "ratio, 32 pixels": (WORKLOADS["paper"].ratio(), 3, 32),
        }
    rows = [
        {
            "network": name,
            "parameters (M)": parameters_of(network) / 1e6,
            "forward (GFLOP an image)": gflop(network, channels, size),
            "and backward": gflop(network, channels, size, backward=True),
            "the paper's (M)": PAPER.get(name, (float("nan"),))[0],
            "its forward": PAPER.get(name, (None, None))[1] or float("nan"),
        }
        for name, (network, channels, size) in networks.items()
    ]
    for name in ("ratio, frozen extractor", "ratio, its head"):
        rows.append({"network": f"the paper's {name}", "the paper's (M)": PAPER[name][0]})
    print(pd.DataFrame(rows).set_index("network").to_string(float_format="{:.3g}".format, na_rep=""))
    print(DIFFERS)


if __name__ == "__main__":
    main()
