"""The benchmarks at toy sizes: what they write, keep and refuse; and what the page on performance reads in them."""

import json
import math

import loops
import pytest
import ratio_size
import speed

from tiwlib import runs
from tiwlib.networks import image_denoiser, paper_denoiser
from workflow import plan

TINY = ["--networks", "digits", "--batch", "2", "--repetitions", "1", "--matrix", "32"]
TINY_RATIO = ["--setting", "digits-lt-50", "--parameters", "", "--steps", "2", "--batch", "4"]
TINY_RATIO += ["--widths", "8", "16", "--evaluations", "1", "--draws", "16"]


def row(method="dsm", precision="fp32", network="digits", **others):
    same = {"batch": 8, "device": "cpu", "compiled": False}
    return {"network": network, "precision": precision, "method": method, **same, **others}


def table(*rows, chip="a chip"):
    return {"machine": "m", "chip": chip, "thresholds": {}, "rows": list(rows)}


# ------------------------------------------------------------- the table of speed
def test_a_call_keeps_the_rows_that_it_does_not_measure(tmp_path):
    path = tmp_path / "m-speed.json"
    speed.add(path, table(row(precision="bf16", images_per_s=1), row(network="paper", images_per_s=2)))
    speed.add(path, table(row(images_per_s=3), row(precision="bf16", images_per_s=4)))
    rows = json.loads(path.read_text())["rows"]
    order = [(r["network"], r["precision"], r["images_per_s"]) for r in rows]
    assert order == [("digits", "fp32", 3), ("digits", "bf16", 4), ("paper", "fp32", 2)]


@pytest.mark.parametrize("name", speed.KEY)
def test_rows_that_differ_in_any_part_of_their_key_stand_beside_each_other(name):
    other = {"network": "paper", "batch": 16, "device": "cuda", "precision": "bf16", "compiled": True}
    other |= {"method": "tiw_dsm"}
    assert len(speed.merged([row()], [row() | {name: other[name]}])) == 2


def test_the_table_of_another_chip_is_not_mixed_in(tmp_path):
    path = tmp_path / "m-speed.json"
    speed.add(path, table(row()))
    with pytest.raises(ValueError, match="was measured on a chip, this is another: pass --machine NAME"):
        speed.add(path, table(row(), chip="another"))


def test_speed_measures_every_method_and_says_where_when_and_by_which_code(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "memory", lambda *_: 7)  # a process of its own each
    for precision in ("bf16", "fp32"):
        speed.main([*TINY, "--precisions", precision, "--out", str(tmp_path), "--machine", "m"])
    found = json.loads((tmp_path / "m-speed.json").read_text())
    assert found["chip"]
    methods = ["dsm", "iw_dsm", "tiw_dsm", "tiw_dsm_posterior", "sampling, 18 levels"]
    assert [(r["precision"], r["method"]) for r in found["rows"]] == [
        (precision, method) for precision in ("fp32", "bf16") for method in methods
    ]
    for r in found["rows"]:
        trains = r["method"] != methods[-1]
        assert r["images_per_s"] > 0 and r["matmul_share"] > 0 and (r["over_dsm"] is not None) == trains
        assert not trains or (r["over_dsm_turns"] == [r["over_dsm"]])
        assert r["peak_memory_mb"] == (7 if trains else None)
        assert {"commit", "dirty", "date", "torch", "threads", "cudnn_benchmark", "matrix_tflops"} <= r.keys()
    dsm = [r["over_dsm"] for r in found["rows"] if r["method"] == "dsm"]
    assert dsm == [1.0, 1.0]


def test_operations_are_counted_for_the_ratio_s_passes_too():
    """Forward for the weight, forward and backward to x for the correction, none for plain DSM; backward is twice."""
    work = speed.work(loops.WORKLOADS["digits"])
    ratio = work["iw_dsm"] - work["dsm_obs"]
    assert ratio > 0 and work["tiw_dsm"] - work["dsm_obs"] == pytest.approx(2 * ratio)
    posterior = work["tiw_dsm_posterior"] - work["dsm_obs"]
    assert posterior * 1e9 == pytest.approx(4 * 550 * 64)  # 550 images of 64 pixels, there and back
    paper = speed.work(loops.WORKLOADS["paper"])
    assert 1 < paper["tiw_dsm_posterior"] / paper["dsm_obs"] < 1.01, "docs/estimators.md says so"
    assert work["sample"] / speed.EVALUATIONS == pytest.approx(work["dsm_obs"] / 3, rel=0.05)


@pytest.mark.parametrize(
    ("name", "sweep"), [("mnist", "mnist.yaml"), ("paper", "cifar10.yaml"), ("celeba", "celeba.yaml")]
)
def test_a_workload_is_the_network_of_the_runs(name, sweep):
    """Shape by shape the network that the sweep trains, built from its parameters."""
    p = plan.load(runs.PROJECT / "workflow" / sweep).runs[0].params
    workload = loops.WORKLOADS[name]
    with loops.torch.device("meta"):
        if p["network"] == "paper":
            trained = paper_denoiser(workload.channels, workload.size, p["dropout"])
        else:
            trained = image_denoiser(workload.channels, workload.size, p["width"], p["dropout"])
        measured = workload.denoiser()
    assert [w.shape for w in measured.parameters()] == [w.shape for w in trained.parameters()]


# ------------------------------------------------------------- the size of the ratio network
def test_the_ratio_sizes_are_compared_split_by_split(tmp_path):
    found = ratio_size.main([*TINY_RATIO, "--out", str(tmp_path), "--machine", "m"])
    assert found == json.loads((tmp_path / "m-ratio-size-digits-lt-50.json").read_text())
    assert [r["seed"] for r in found["rows"]] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert all(r["heldout_reference_images"] == 50 for r in found["rows"])
    small, large = sorted({r["parameters"] for r in found["rows"]})
    assert small < large and found["flip"] is False and found["chip"] and "commit" in found
    losses = {(r["seed"], r["parameters"]): r["heldout_loss"] for r in found["rows"]}
    mean = sum(losses[s, small] - losses[s, large] for s in range(5)) / 5
    assert found["difference"]["mean"] == pytest.approx(mean)


def test_the_difference_is_small_minus_large_with_a_t_interval():
    rows = [
        {"seed": s, "parameters": n, "heldout_loss": 0.6 + s + d}
        for s, d in enumerate((0.1, 0.3, 0.2))
        for n, d in ((10, d), (100, 0.0))
    ]
    found = ratio_size.compared(rows)
    half = 4.302652729911275 * 0.1 / math.sqrt(3)  # Student's t with two degrees of freedom, 97.5 %
    assert found == pytest.approx({"mean": 0.2, "low": 0.2 - half, "high": 0.2 + half})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--setting", "digits-lt"], "'digits-lt': 10 held-out reference images; must be at least 50"),
        (["--splits", "4"], "splits=4: must be at least 5"),
    ],
)
def test_a_comparison_that_says_nothing_is_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        ratio_size.main([*TINY_RATIO, *arguments, "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------- what is committed
def committed(pattern):
    return [json.loads(path.read_text()) for path in (runs.PROJECT / "benchmarks" / "results").glob(pattern)]


def test_what_the_page_reads_in_the_table_of_speed_is_in_it():
    tables = [table for table in committed("*-speed.json") if not table["machine"].endswith("-busy")]
    assert tables
    for found in tables:
        rows = [r for r in found["rows"] if r["method"] == "tiw_dsm" and r["device"] == "cpu"]
        over = {(r["network"], r["precision"]): r["over_dsm"] for r in rows}
        rate = {(r["network"], r["precision"]): r["images_per_s"] for r in rows}
        for name in ("paper", "celeba"):
            assert 0.95 < over.get((name, "bf16"), 1) < 1.05
        assert 1.05 < over.get(("digits", "fp32"), 1.1) < 1.15
        for name, gains in (("paper", True), ("digits", False)):
            if (name, "bf16") in rate and (name, "fp32") in rate:
                assert (rate[name, "bf16"] > rate[name, "fp32"]) == gains, name
