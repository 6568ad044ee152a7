"""A companion to "Training Unbiased Diffusion Models From Biased Dataset" (TIW-DSM, ICLR 2024).

Imports point inwards, from ring to ring:
the paper (the modules of this folder) <- data, measures, runs, estimators, baselines, plots <- ledger, workflow.
"""

__version__ = "0.1.0"
