"""The shell command: python -m tiwlib.data."""

import json

import pytest
from sample_images import fill_folder

from tiwlib.data import __main__ as command
from tiwlib.data import bias, manifest


def run(capsys, *arguments):
    status = command.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_shell_list(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0 and all(name in out for name in bias.settings.SETTINGS)
    assert "170 MB" in out and "CC BY-NC-SA 4.0" in out


def test_shell_prepare_and_verify(capsys, tmp_path):
    status, _, err = run(capsys, "verify", "digits-lt", "--root", tmp_path)
    assert status == 1 and "prepare" in err
    status, out, _ = run(capsys, "prepare", "digits-lt", "--root", tmp_path)
    assert status == 0 and manifest.known_hash("digits-lt", 0) in out and "the same hash" in out
    assert run(capsys, "verify", "digits-lt", "--root", tmp_path)[0] == 0
    path = tmp_path / "splits" / "digits-lt-seed0.json"
    path.write_text(path.read_text().replace("biased", "bised", 1))
    status, out, err = run(capsys, "verify", "digits-lt", "--root", tmp_path)
    assert status == 1 and err.startswith("error: ") and err.count("\n") == 1


def test_shell_verify_sees_a_changed_array(capsys, tmp_path):
    own = tmp_path / "own.json"
    folder = fill_folder(tmp_path / "pets", [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(9)])
    fields = {"source": folder.name, "bias": "natural", "arguments": {"total": 10}, "reference_share": 0.4}
    own.write_text(json.dumps(fields))
    assert run(capsys, "prepare", own, "--root", tmp_path)[0] == 0
    status, out, _ = run(capsys, "verify", own, "--root", tmp_path)
    assert status == 0 and "no hash for this setting" in out
    (array,) = tmp_path.glob("arrays/*/images.npy")
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    status, _, err = run(capsys, "verify", own, "--root", tmp_path)
    assert status == 1 and "the array of pets has sha256" in err


def test_shell_errors_are_one_line(capsys, tmp_path):
    for arguments in (("prepare", "nothing"), ("prepare", "ffhq-80", "--root", tmp_path)):
        status, _, err = run(capsys, *arguments)
        assert status == 1 and err.startswith("error: ") and err.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        command.main(["prepare"])


def test_shell_manifest(capsys, tmp_path):
    assert run(capsys, "manifest", "--out", tmp_path / "m.json")[0] == 0
    assert (tmp_path / "m.json").read_text() == manifest.PATH.read_text()
