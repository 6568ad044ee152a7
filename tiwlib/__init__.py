"""A companion to "Training Unbiased Diffusion Models From Biased Dataset" (TIW-DSM, ICLR 2024).

The way of the data, which is also the order of imports (runs keeps records for all, and imports none):
gaussians, noise, batches, devices -> networks, features -> datasets -> settings, splits, bias, manifest -> ratio
-> objectives, released, cross_fitting -> checkpoints, training -> sampling -> classifier, distances, metrics
-> experiment, plane, trial, siblings -> plots -> records. Beside them intervals, cost, step_cost; and plan, gpus
-> sweep, claims -> report.
"""

import warnings

# A terminal has no widgets: without this, every notebook's first output would be a warning with a path in it.
warnings.filterwarnings("ignore", message="IProgress not found")

from tiwlib import torchvision_cpu  # noqa: E402, F401  diffusers and torch-fidelity import torchvision

__version__ = "0.1.0"
