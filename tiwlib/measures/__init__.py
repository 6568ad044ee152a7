"""From samples to numbers: shares of groups, distances between sets, intervals over repetitions."""
