"""Calibration of a ratio: probability against frequency."""

import numpy as np
import pandas as pd

from tiwlib.measures import weights


def test_calibration_of_a_calibrated_and_of_an_overconfident_ratio():
    rng = np.random.default_rng(0)
    log_ratio = rng.normal(size=20_000)
    label = (rng.random(20_000) < 1 / (1 + np.exp(-log_ratio))).astype(float)
    calibrated = pd.DataFrame({"log_ratio": log_ratio, "label": label})
    assert weights.calibration_error(calibrated) < 0.02  # 8 bins of 2,500: standard error 0.01
    assert weights.calibration_error(calibrated.assign(log_ratio=4 * log_ratio)) > 0.1
