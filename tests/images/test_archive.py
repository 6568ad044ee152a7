"""Folders and zips of images: what is read, and what is refused."""

import io
import os
import stat
import struct
import warnings
import zipfile
import zlib

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
    with pytest.warns(UserWarning, match=r"source: 1 files left out of .*x.zip: 1 .txt$"):
        assert open_images(packed).names == ["a/1.PNG"]


def test_files_and_links_that_are_left_out_are_counted(tmp_path):
    folder = fill_folder(tmp_path / "faces", ["1.png", "sub/2.png"])
    for name in ("a.gif", "sub/b.TIF", "c.tif", "d.heic", "notes", ".hidden.gif"):
        (folder / name).write_bytes(b"x")
    other = fill_folder(tmp_path / "other", ["3.png"])
    (folder / "more").symlink_to(other)
    with pytest.warns(UserWarning) as warned:
        assert open_images(folder, "biased").names == ["1.png", "sub/2.png"]
    text = str(warned[0].message)
    assert text.startswith("biased: 6 files left out of") and "faces: 2 .tif" in text
    assert all(part in text for part in ("1 .gif", "1 .heic", "1 without a suffix", "1 links to folders"))


def test_nothing_is_said_where_nothing_is_left_out(tmp_path):
    folder = fill_folder(tmp_path / "faces", ["1.png", "sub/2.JPG"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_images(folder).names) == 2


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
    with pytest.raises(ValueError, match="a.bmp .* has 1001 bytes; allowed are 1 to 1000"):
        open_images(tmp_path / "x.zip")
    (fill_folder(tmp_path / "faces", ["a.png"]) / "b.png").touch()
    with pytest.raises(ValueError, match="reference: b.png in .*faces has 0 bytes; allowed are 1 to"):
        open_images(tmp_path / "faces", "reference")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_and_devices_are_refused_and_never_read(tmp_path):
    folder = fill_folder(tmp_path / "faces", ["a.png"])
    os.mkfifo(folder / "p.png")
    with pytest.raises(ValueError, match="p.png is no regular file"):
        open_images(folder)
    (folder / "p.png").unlink()
    (folder / "z.png").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="z.png is no regular file"):
        open_images(folder)


def test_a_file_that_grows_after_it_was_looked_at_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 1000)
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "a.bmp").write_bytes(bytes(10))
    files = open_images(folder)
    (folder / "a.bmp").write_bytes(bytes(1001))
    with pytest.raises(ValueError, match="a.bmp is larger than it was; allowed are 1000 bytes"):
        files.read("a.bmp")


def test_a_folder_or_a_file_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    folder, original = fill_folder(tmp_path / "faces", ["a.png", "sub/b.png"]), os.scandir
    files = open_images(folder)
    (folder / "a.png").unlink()
    with pytest.raises(ValueError, match=r"faces/a.png cannot be read \(No such file"):
        files.read("a.png")

    def closed(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(ValueError, match=r"faces/sub cannot be read \(Permission denied"):
        open_images(folder)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_corrupt_compressed_member_is_named(compression, tmp_path):
    packed = fill_zip(tmp_path / "x.zip", {"a.bmp": bytes(range(256)) * 40}, compression)
    content = bytearray(packed.read_bytes())
    content[40:60] = b"\xff" * 20  # inside the compressed image
    packed.write_bytes(content)
    with pytest.raises(ValueError, match=r"x.zip: a.bmp is damaged"):
        open_images(packed).read("a.bmp")


def test_bomb_in_an_image(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 63)
    with pytest.raises(ValueError, match=r"x.png cannot be read as an image \(8 x 8 pixels; allowed are 63"):
        decode.decode(encoded(0), "x.png", None, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # PIL's own limit, which comes first
    with pytest.raises(ValueError, match="x.png cannot be read.*decompression bomb"):
        decode.decode(encoded(0), "x.png", None, 3)


@pytest.mark.parametrize("content", [b"", b"no image", encoded(0)[:100], encoded(0, kind="GIF", mode="L")])
def test_files_that_are_no_image_or_half_of_one(content):
    with pytest.raises(ValueError, match="x.png cannot be read as an image") as error:
        decode.decode(content, "x.png", None, 3)
    assert "BytesIO" not in str(error.value), "of no use to a reader"


def test_an_image_that_pillow_refuses_by_a_value_error_is_named():
    content = bytearray(encoded(0))
    content[8:12] = (5).to_bytes(4, "big")  # the header's own length
    with pytest.raises(ValueError, match="x.png cannot be read as an image"):
        decode.decode(bytes(content), "x.png", None, 3)


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, None])
def test_an_unreadable_image_is_named_with_its_zip_or_folder(kind, tmp_path):
    fill_folder(tmp_path / "faces", ["a.png"])
    (tmp_path / "faces" / "b.png").write_bytes(b"no image")
    packed = fill_zip(tmp_path / "faces.zip", {"a.png": encoded(0), "b.png": b"no image"})
    files = open_images(tmp_path / "faces" if kind is None else packed)
    with pytest.raises(
        ValueError, match=rf"^{files.label}/b.png cannot be read as an image \(allowed formats"
    ):
        list(decode.decode_all([(files, name) for name in files.names], None, 3))


def png_of_16_bits(colour_type: int, channels: int) -> bytes:
    """A PNG of 2 x 2 pixels with 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)
    rows = 2 * (b"\0" + 2 * channels * b"\x80\xff")
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return decode.PNG + body


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_a_channel_are_refused(colour_type, channels):
    with pytest.raises(ValueError, match="x.png cannot be read as an image .*16 bits; allowed are 8 bits in"):
        decode.decode(png_of_16_bits(colour_type, channels), "x.png", None, 3)


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
