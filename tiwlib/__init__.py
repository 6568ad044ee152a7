"""A companion to "Training Unbiased Diffusion Models From Biased Dataset" (TIW-DSM, ICLR 2024).

The way of the data, which is also the order of imports:
gaussians, noise -> networks -> datasets -> bias -> ratio -> objectives -> training -> sampling -> metrics
-> runs -> plots.
"""

from tiwlib import torchvision_cpu  # noqa: F401  diffusers and torch-fidelity import torchvision

__version__ = "0.1.0"
