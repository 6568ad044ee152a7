"""Keys in the committed records, old and new: `python tests/support/migrate_records.py` has renamed them once.

The records of before keyed numbers by the labels of figures, and one measure by several names. No number was typed:
tests/ledger/test_migration.py makes the records from those in git again. Records made after that need none of this.
"""

import json
import re
from pathlib import Path

BEFORE = "fdeabdb"  # the commit whose records are the originals

METHODS = {
    "DSM(ref)": "dsm_ref",
    "DSM(obs)": "dsm_obs",
    "DSM(obs), half": "dsm_obs_half",
    "IW-DSM": "iw_dsm",
    "TIW-DSM": "tiw_dsm",
    "W-only": "w_only",
    "C-only": "c_only",
}
MEASURES = {
    "classifier_frechet": "frechet",
    "classifier_kernel_distance": "kernel_distance",
    "classifier_kernel_distance_std": "kernel_distance_std",
    "classifier_kernel_distance_subset_size": "kernel_distance_subset_size",
    "nearest_training_image": "nearest",
}
KEYS = {
    "01_density_ratio_2d": METHODS,
    "02_biased_datasets": {"full data": "full"},
    "03_ratio_accuracy": {
        "heldout_loss time-dependent": "heldout_loss_time_dependent",
        "heldout_loss time-independent": "heldout_loss_time_independent",
        "time-dependent": "time_dependent",
        "time-independent": "time_independent",
    },
    "04_train": MEASURES | {"biased set": "biased", "reference set": "reference"},
    "05_figures": METHODS
    | MEASURES
    | {f"{old} minus TIW-DSM": f"{new}_minus_tiw_dsm" for old, new in METHODS.items()}
    | {
        "ratio_below_0.01": "ratio_below_0_01",
        "time-dependent": "time_dependent",
        "time-independent": "time_independent",
    },
    "06_what_each_objective_learns": METHODS
    | MEASURES
    | {
        "DSM(obs), no correction": "dsm_obs_half",
        "DSM(obs), 1 : 20": "dsm_obs_1_20",
        "TIW-DSM, 1 : 20": "tiw_dsm_1_20",
        "TIW-DSM, 1 : 20, told 1/2": "tiw_dsm_1_20_half",
        "TIW-DSM, alpha 2": "tiw_dsm_alpha_2",
        "released code": "released",
        "released, sign mended": "released_sign_mended",
        "released, log d instead of d": "released_log_d",
        "told the truth": "true_fraction",
        "believes in one half": "one_half",
    },
    "07_ablations": {
        "TIW-DSM": "tiw_dsm",
        "TIW-DSM, cross-fitted": "tiw_dsm_cross_fitted",
        "TIW-DSM, ensemble of 5": "tiw_dsm_ensemble",
        "plain training (DSM)": "dsm",
        "a step of fitting the ratio": "ratio_fit",
    },
    "08_baselines": {
        "discrepancy": "fairness_discrepancy",
        "bias": "pairwise_bias",
        "shares": "group_shares",
    },
}
# Notebook 07 joined kind, value, measure and variant to a sentence; here they are joined by "_".
PATTERNS = {
    "07_ablations": (
        (r"^(\d+) (?=\w+_error|share)", r"reference_\1_"),
        (r"^classifier_frechet ", "frechet "),
        (r"\bplain, above ", "above "),
    ),
    "02_biased_datasets": ((r"^(\d+)%$", r"percent_\1"),),
}
# Values that name something: where a key of a row is one of these, its value is renamed.
VALUES = {
    ("01_density_ratio_2d", "method"): METHODS,
    ("03_ratio_accuracy", "measure"): {
        "held-out loss (nats)": "heldout_loss",
        "score error (time average)": "score_error",
        "total variation of shares after weighting": "variation_after_weighting",
    },
    ("03_ratio_accuracy", "variant"): {
        "decay 0.01, last": "decay_0_01_last",
        "decay 0.3, last": "decay_0_3_last",
        "decay 0.3, best": "decay_0_3_best",
    },
    ("07_ablations", "part"): KEYS["07_ablations"],
}
# Parameters that notebooks have got since, with the value that the records of before have had.
ADDED = {"04_train": {"ratio": "plain"}}
# Text and verdicts that were made from other numbers of the same record; the ledger judges now.
DROPPED = {"07_ablations": ("answers",), "08_baselines": ("bars",)}


def renamed(notebook: str, key: str) -> str:
    """The new name of a key of that notebook's metrics.json."""
    if key in KEYS.get(notebook, {}):
        return KEYS[notebook][key]
    for pattern, new in PATTERNS.get(notebook, ()):
        key = re.sub(pattern, new, key)
    return re.sub(r"[^\w]+", "_", key) if " " in key else key


def migrated(notebook: str, content):
    """A metrics.json, or a part of one, under its new keys."""
    if isinstance(content, list):
        return [migrated(notebook, item) for item in content]
    if not isinstance(content, dict):
        return content
    result = {}
    for key, value in content.items():
        if key in DROPPED.get(notebook, ()):
            continue
        names = VALUES.get((notebook, key), {})
        value = names.get(value, value) if isinstance(value, str) else migrated(notebook, value)
        if renamed(notebook, key) in result:
            raise ValueError(f"{notebook}: two keys would be called {renamed(notebook, key)}")
        result[renamed(notebook, key)] = value
    return result


def with_fits(provenance: dict[str, dict]) -> dict[str, dict]:
    """Records' provenance, by name, where a run that found its ratio in the cache has noted what its fit had cost.

    Before, it noted the time of finding it, as "ratio, kept". The fit's cost is that of the record with the same
    ratio; where none has it, the stage is left out.
    """
    fits = {
        one["hashes"]["ratio"]: one["stages"]["ratio"]
        for one in provenance.values()
        if "ratio" in one["hashes"] and "ratio" in one.get("stages", {})
    }
    result = {}
    for name, one in provenance.items():
        stages = dict(one.get("stages", {}))
        if stages.pop("ratio, kept", None) and one["hashes"]["ratio"] in fits:
            stages["ratio"] = fits[one["hashes"]["ratio"]]
        result[name] = one | ({"stages": stages} if "stages" in one else {})
    return result


def main() -> None:
    paths = {str(path): path for path in sorted(Path("results").glob("04_train/*/provenance.json"))}
    for name, content in with_fits({n: json.loads(p.read_text()) for n, p in paths.items()}).items():
        paths[name].write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")
    for path in sorted(Path("results").glob("*/*/metrics.json")):
        content = migrated(path.parts[1], json.loads(path.read_text()))
        path.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
