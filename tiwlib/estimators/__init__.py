"""Ratios beyond the paper's discriminator of pixels, with the same interface: log_ratio(x, sigma)."""
