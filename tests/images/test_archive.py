"""Folders and zips of images: what is read, and what is refused."""

import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, fill_folder, fill_zip

from tiwlib.data import archive, decode
from tiwlib.data.archive import open_images


def test_folder_and_zip_give_the_same_names_and_bytes(tmp_path):
    names = ["b/1.png", "a/2.png", "a/1.png"]
    folder = fill_folder(tmp_path / "faces", names)
    packed = fill_zip(tmp_path / "faces.zip", {name: (folder / name).read_bytes() for name in names})
    for files in (open_images(folder), open_images(packed)):
        assert files.names == sorted(names)
        assert [files.read(name) for name in files.names] == [
            (folder / name).read_bytes() for name in sorted(names)
        ]


def test_other_files_are_passed_over(tmp_path):
    image = encoded(0)
    others = {"notes.txt": b"", "__MACOSX/a.png": b"", "a/.hidden.png": b"", ".cache/a.png": b"", "a/": b""}
    packed = fill_zip(tmp_path / "x.zip", {"a/1.PNG": image, **others})
    assert open_images(packed).names == ["a/1.PNG"]


def test_a_folder_inside_a_zip(tmp_path):
    packed = fill_zip(tmp_path / "x.zip", {"train/a/1.png": encoded(0), "test/a/1.png": encoded(1)})
    files = open_images(packed / "train")
    assert files.names == ["a/1.png"] and files.read("a/1.png") == encoded(0)
    with pytest.raises(ValueError, match="has no images"):
        open_images(packed / "val")


def test_fingerprint_changes_with_a_file(tmp_path):
    first = fill_zip(tmp_path / "1.zip", {"a.png": encoded(0)})
    second = fill_zip(tmp_path / "2.zip", {"a.png": encoded(1)})
    assert open_images(first).stamps != open_images(second).stamps


def test_missing_and_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="biased: .*nothing is not there"):
        open_images(tmp_path / "nothing", "biased")
    with pytest.raises(ValueError, match="reference: .* has no images; allowed are files of .bmp"):
        open_images(tmp_path, "reference")


def test_truncated_zip(tmp_path):
    packed = fill_zip(tmp_path / "x.zip", {f"{i}.png": encoded(i) for i in range(5)})
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(ValueError, match="x.zip is no whole zip"):
        open_images(packed)


def test_damaged_member_of_a_zip(tmp_path):
    packed = fill_zip(tmp_path / "x.zip", {"a.png": encoded(0), "b.png": encoded(1)})
    content = bytearray(packed.read_bytes())
    content[80] ^= 0xFF  # inside the first image
    packed.write_bytes(content)
    with pytest.raises(ValueError, match="x.zip: a.png is damaged.*CRC"):
        open_images(packed).read("a.png")


@pytest.mark.parametrize(
    "name", ["../a.png", "a/../../b.png", "/etc/a.png", "..\\a.png", "C:\\a.png", "\\a.png"]
)
def test_paths_that_climb_out(tmp_path, name):
    packed = fill_zip(tmp_path / "x.zip", {"ok.png": encoded(0), name: encoded(1)})
    with pytest.raises(ValueError, match="climbs out"):
        open_images(packed)


def test_links_repeated_and_encrypted_members(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="link.png' is a link"):
        open_images(tmp_path / "link.zip")

    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a.png", encoded(0))
        file.writestr("a.png", encoded(1))
    with pytest.raises(ValueError, match="a.png' is there twice"):
        open_images(tmp_path / "twice.zip")

    packed = fill_zip(tmp_path / "locked.zip", {"a.png": encoded(0)})
    content = bytearray(packed.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    packed.write_bytes(content)
    with pytest.raises(ValueError, match="a.png' is encrypted"):
        open_images(packed)


def test_bomb_in_a_zip_by_its_declared_sizes(tmp_path, monkeypatch):
    packed = fill_zip(tmp_path / "x.zip", {"a.bmp": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    open_images(packed)  # a million zeros are no danger
    monkeypatch.setattr(archive, "MIN_BOMB_BYTES", 10**5)
    with pytest.raises(ValueError, match="unpacks to 1000000 bytes.*decompression bomb"):
        open_images(packed)


def test_bomb_in_a_zip_with_a_small_declared_size(tmp_path):
    packed = fill_zip(tmp_path / "x.zip", {"a.bmp": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    content = bytearray(packed.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = (100).to_bytes(4, "little")
    packed.write_bytes(content)
    with pytest.raises(ValueError, match="a.bmp is damaged"):
        open_images(packed).read("a.bmp")


def test_a_file_larger_than_an_image_is(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 1000)
    fill_zip(tmp_path / "x.zip", {"a.bmp": bytes(1001)})
    with pytest.raises(ValueError, match="a.bmp .* has 1001 bytes; allowed are 1000"):
        open_images(tmp_path / "x.zip")


def test_bomb_in_an_image(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 63)
    with pytest.raises(ValueError, match="x.png has 8 x 8 pixels; allowed are 63"):
        decode.decode(encoded(0), "x.png", None, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # PIL's own limit, which comes first
    with pytest.raises(ValueError, match="x.png cannot be read.*decompression bomb"):
        decode.decode(encoded(0), "x.png", None, 3)


@pytest.mark.parametrize("content", [b"", b"no image", encoded(0)[:100], encoded(0, kind="GIF", mode="L")])
def test_files_that_are_no_image_or_half_of_one(content):
    with pytest.raises(ValueError, match="x.png cannot be read as an image"):
        decode.decode(content, "x.png", None, 3)


def test_sixteen_bits_a_channel_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="x.png has mode I;16"):
        decode.decode((tmp_path / "x.png").read_bytes(), "x.png", None, 1)


def test_decoding_keeps_pixels_and_crops_the_centre():
    plain = decode.decode(encoded(3), "x", None, 3)
    np.testing.assert_array_equal(
        plain, np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8).transpose(2, 0, 1)
    )
    wide = encoded(3, (12, 8))
    np.testing.assert_array_equal(
        decode.decode(wide, "x", 8, 3), decode.decode(wide, "x", None, 3)[:, :, 2:10]
    )
    np.testing.assert_array_equal(
        decode.decode(wide, "x", None, 3, crop=4), decode.decode(wide, "x", None, 3)[:, 2:6, 4:8]
    )
    assert decode.decode(wide, "x", 4, 1).shape == (1, 4, 4)


def test_a_photo_that_was_taken_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    content = io.BytesIO()
    Image.new("RGB", (12, 8)).save(content, "JPEG", exif=exif)
    assert decode.decode(content.getvalue(), "x.jpg", None, 3).shape == (3, 12, 8)


def test_images_of_mixed_sizes(tmp_path):
    folder = fill_folder(tmp_path / "x", ["a.png", "b.png"])
    (folder / "c.png").write_bytes(encoded(5, (9, 8)))
    files = open_images(folder)
    items = [(files, name) for name in files.names]
    with pytest.raises(ValueError, match="size: c.png is 9 x 8 pixels, a.png is 8 x 8; name a size"):
        list(decode.decode_all(items, None, 3))
    assert next(decode.decode_all(items, 8, 3)).shape == (3, 3, 8, 8)
