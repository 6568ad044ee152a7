"""Trained models to take along: what is damaged is refused, what is kept in git is what its card says."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tiwlib import runs
from tiwlib.networks import image_denoiser, seeded
from tiwlib.runs import model_card, pretrained
from tiwlib.runs.experiment import from_parameters
from tiwlib.runs.measured import measured
from tiwlib.runs.pretrained import BESIDE, WEIGHTS, load_pretrained, save_pretrained

KEPT = sorted(path.parent for path in model_card.FOLDER.glob("*/card.json"))


@pytest.fixture
def folder(tmp_path):
    return save_pretrained(seeded(image_denoiser, 1, 8, 8, seed=0), tmp_path / "denoiser")


def altered(folder, change):
    """The weights changed by `change`, and their hash with them."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    about = json.loads((folder / BESIDE).read_text()) | {"sha256": runs.sha256(folder / WEIGHTS)}
    (folder / BESIDE).write_text(json.dumps(about))


def test_a_flipped_byte_is_refused(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=f"{WEIGHTS}: cannot be loaded .its sha256 must be"):
        load_pretrained(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("conv_in.weight"),
        lambda tensors: tensors.update({"conv_in.weight": tensors["conv_in.weight"][:1]}),
        lambda tensors: tensors["conv_in.weight"].view(-1)[:1].fill_(float("nan")),
    ],
    ids=["missing", "another shape", "not finite"],
)
def test_an_unusable_weight_is_named(folder, change):
    altered(folder, change)
    with pytest.raises(ValueError, match="conv_in.weight is missing, of another shape, or not finite"):
        load_pretrained(folder)


def test_a_weight_too_many_is_refused(folder):
    altered(folder, lambda tensors: tensors.update({"extra": torch.zeros(1)}))
    with pytest.raises(RuntimeError, match="extra"):
        load_pretrained(folder)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_that_is_missing_or_none_of_ours_is_named(folder, name):
    """A pickle in place of the weights is not opened as one: safetensors cannot read it."""
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{WEIGHTS}: cannot be loaded"):
        load_pretrained(folder)
    torch.save({"a": torch.zeros(1)}, folder / WEIGHTS)
    about = json.loads((folder / BESIDE).read_text()) | {"sha256": runs.sha256(folder / WEIGHTS)}
    (folder / BESIDE).write_text(json.dumps(about))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_pretrained(folder)


def test_half_precision_halves_the_file_and_loads_in_float32(tmp_path):
    """An output differs by no more than rounding: float16 keeps a weight to one part in 2,048."""
    denoiser = seeded(image_denoiser, 1, 8, 8, seed=0).eval()
    full, half = (
        save_pretrained(denoiser, tmp_path / str(dtype), dtype) for dtype in (torch.float32, torch.float16)
    )
    assert (half / WEIGHTS).stat().st_size < 0.6 * (full / WEIGHTS).stat().st_size
    loaded = load_pretrained(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert {p.dtype for p in denoiser.parameters()} == {torch.float32}, "the network itself stays as it is"
    x, sigma = torch.randn(2, 1, 8, 8), torch.tensor([0.1, 3.0])
    torch.testing.assert_close(loaded(x, sigma), denoiser(x, sigma), rtol=0, atol=0.01)


# ---------------------------------------------------------------- what is kept in git


def test_models_in_git_are_few_and_small():
    assert {path.name for path in KEPT} >= {"digits-lt-dsm_obs-seed0", "digits-lt-tiw_dsm-seed0"}
    assert sum(path.stat().st_size for path in model_card.FOLDER.rglob("*") if path.is_file()) < 3e6


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)
def test_a_card_is_that_of_its_weights(kept):
    content = json.loads((kept / "card.json").read_text())
    assert (kept / "README.md").read_text() == model_card.card(content), "python -m tiwlib.runs.model_card"
    assert (
        content["sha256"] == runs.sha256(kept / WEIGHTS) == json.loads((kept / BESIDE).read_text())["sha256"]
    )
    assert not [path for path in kept.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    record = runs.PROJECT / "results" / "05_train" / content["run"] / "metrics.json"
    assert content["of_record"].items() <= json.loads(record.read_text()).items()


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)
def test_a_kept_denoiser_is_trained(kept):
    """At sigma 0.5 it takes away more than half of the noise of the reference images that it was trained with."""
    content = json.loads((kept / "card.json").read_text())
    params = runs.defaults("05_train") | {"setting": content["setting"], "seed": content["training"]["seed"]}
    problem = from_parameters(params).problem
    x0 = problem.reference[torch.arange(len(problem.reference))]
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    denoised = load_pretrained(kept)(x0 + 0.5 * noise, torch.full((len(x0),), 0.5))
    assert (denoised - x0).square().mean() < 0.5 * 0.5**2


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The measures that a published denoiser seems to have; seeds 0, 1 and 100 are recorded with them as toy-<seed>."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    found = {"total_variation": 0.2, "frechet": 10.0, "precision": 0.9, "recall": 0.5, "nearest": 0.1}
    by_group = {"group_shares": [0.1] * 10, "group_intervals": [[0.05, 0.2]] * 10}
    monkeypatch.setattr(model_card, "measured", lambda experiment, denoiser: found | by_group)
    denoiser = seeded(image_denoiser, 1, 8, 8, seed=0)
    for seed in (0, 1, 100):
        params = {"seed": seed, "method": "dsm_obs", "width": 8}
        record = runs.start("05_train", f"toy-{seed}", runs.defaults("05_train") | params)
        left = save_pretrained(denoiser, record.folder / "denoiser")
        record.hashes["denoiser"] = runs.sha256(left / WEIGHTS)
        recall = found["recall"] + 0.01 * seed
        record.finish(found | {"recall": recall, "parameters": {"denoiser": 1000}})
    return found


def files(folder):
    return {path.name: runs.sha256(path) for path in folder.iterdir()}


def test_a_denoiser_that_is_refused_leaves_what_was_published(toy, tmp_path):
    """Weights and card are those of before, together; what is published anew replaces both."""
    folder = model_card.publish("toy-0", tmp_path / "pretrained" / "toy")
    (folder / "left over").write_text("of an older version")
    before = files(folder)
    toy["precision"] = 0.8
    altered(tmp_path / "results" / "05_train" / "toy-0" / "denoiser", brighter)
    with pytest.raises(ValueError, match="run='toy-0': precision is 0.8, that of the record 0.9"):
        model_card.publish("toy-0", folder)
    assert files(folder) == before and list(folder.parent.iterdir()) == [folder]
    toy["precision"] = 0.9
    again = files(model_card.publish("toy-0", folder))
    assert again.keys() == before.keys() - {"left over"}
    content = json.loads((folder / "card.json").read_text())
    assert content["sha256"] == again[WEIGHTS] != before[WEIGHTS] and not content["repeat"]


def brighter(tensors):
    tensors["conv_out.bias"] += 1


def test_the_seeds_of_a_card_are_those_of_the_tables(toy, tmp_path):
    """Seeds of 100 and more have chosen a training length; toy-100 has a recall of 1.5."""
    folder = model_card.publish("toy-1", tmp_path / "toy")
    content = json.loads((folder / "card.json").read_text())
    assert content["over_seeds"]["recall"] == [0.5, 0.51] and content["repeat"]
    assert "all 2 recorded seeds" in (folder / "README.md").read_text()
    with pytest.raises(ValueError, match="run='toy-100': its seed must be below 100"):
        model_card.publish("toy-100", tmp_path / "tuning")
    assert not (tmp_path / "tuning").exists()


@pytest.mark.slow
def test_a_run_is_published_and_one_that_differs_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    toy = {"steps": 4, "method": "dsm_obs", "n_samples": 100, "sampling_steps": 3, "width": 8}
    record = runs.start("05_train", "toy", runs.defaults("05_train") | toy)
    experiment = from_parameters(record.params)
    denoiser, _ = experiment.trained_once()
    metrics = measured(experiment, denoiser)
    left = save_pretrained(denoiser, record.folder / "denoiser")
    record.hashes["denoiser"] = runs.sha256(left / WEIGHTS)
    record.finish(metrics | {"parameters": {"denoiser": 1000}})
    folder = model_card.publish("toy", tmp_path / "toy")
    content = json.loads((folder / "card.json").read_text())
    assert content["repeat"] and content["measures"]["precision"] == pytest.approx(
        metrics["precision"], abs=0.03
    )
    assert pretrained.load_pretrained(folder).sigma_data == 0.75
    runs.write_json(record.folder / "metrics.json", metrics | {"precision": metrics["precision"] + 0.1})
    with pytest.raises(ValueError, match="run='toy': precision is"):
        model_card.publish("toy", tmp_path / "again")
