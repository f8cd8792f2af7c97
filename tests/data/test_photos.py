"""Reading photos of every kind, and listing them in folders and archives; Pillow makes the files."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deconvnet.data import Photos, UnreadablePhoto, open_photos, read_many, read_photo, split
from deconvnet.errors import DataError, OptionError, UnknownNameError

CALTECH = Path(__file__).parents[3] / "shared" / "data" / "caltech-101.zip"

# Four corners of different colours, so that every turn shows
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def corners(height: int = 32, width: int = 48) -> np.ndarray:
    photo = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    photo[:top, :left], photo[:top, left:], photo[top:, :left], photo[top:, left:] = RED, GREEN, BLUE, YELLOW
    return photo


def save(image: Image.Image | np.ndarray, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def encode(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def grey(value: int) -> np.ndarray:
    """A tiny photo whose grey level tells which one it is."""
    return np.full((4, 6, 3), value, np.uint8)


def png16(values: np.ndarray, alpha: bool = False) -> bytes:
    """A grey PNG of 16 bits, made by hand from the format's description."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 4 if alpha else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# Kinds of pictures


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP", "JPEG", "GIF"])
def test_every_format_gives_the_same_picture(kind: str) -> None:
    options: dict = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}}.get(kind, {})
    photo = read_photo(encode(corners(), kind, **options))
    assert photo.dtype == np.uint8
    assert photo.shape == (32, 48, 3)
    np.testing.assert_allclose(photo[4::24, 4::36].astype(int), corners()[4::24, 4::36].astype(int), atol=3)
    photo[0, 0, 0] = 7  # the caller's own


def test_path_bytes_and_file_give_the_same(tmp_path: Path) -> None:
    path = save(corners(), tmp_path / "a.png")
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), io.BytesIO(path.read_bytes())):
        np.testing.assert_array_equal(read_photo(source), corners())
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_photo(file), corners())


# What each orientation shows at top left, top right, bottom left, bottom right, if RED is the stored top left
# (Exif 2.3: where the stored row 0 and column 0 lie in the scene)
TURNS = {
    1: (RED, GREEN, BLUE, YELLOW),
    2: (GREEN, RED, YELLOW, BLUE),
    3: (YELLOW, BLUE, GREEN, RED),
    4: (BLUE, YELLOW, RED, GREEN),
    5: (RED, BLUE, GREEN, YELLOW),
    6: (BLUE, RED, YELLOW, GREEN),
    7: (YELLOW, GREEN, BLUE, RED),
    8: (GREEN, YELLOW, RED, BLUE),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_obeyed(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(encode(corners(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})))
    assert photo.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    shown = photo[[4, 4, -4, -4], [4, -4, 4, -4]].astype(int)
    np.testing.assert_allclose(shown, TURNS[orientation], atol=40)  # JPEG's colours are half as fine


def test_damaged_orientation_leaves_the_photo() -> None:
    photo = read_photo(encode(corners(), "JPEG", quality=98, exif=b"Exif\0\0MM\0\x2a\0\0\0\x08garbage"))
    assert photo.shape == (32, 48, 3)


def test_grey_two_level_and_palette() -> None:
    values = np.array([[0, 90], [200, 255]], np.uint8)
    np.testing.assert_array_equal(read_photo(encode(values, "PNG")), np.repeat(values[..., None], 3, axis=2))
    bits = Image.fromarray(values > 100)
    assert bits.mode == "1"
    np.testing.assert_array_equal(read_photo(encode(bits, "PNG"))[..., 0], [[0, 0], [255, 255]])
    palette = Image.fromarray(corners()).quantize(8)
    assert palette.mode == "P"
    np.testing.assert_array_equal(read_photo(encode(palette, "PNG")), corners())


def test_sixteen_bit_grey_is_scaled() -> None:
    values = np.array([[0, 257, 128], [129, 32_896, 65_535]], np.uint16)
    expected = [[0, 1, 0], [1, 128, 255]]
    sources = [
        png16(values),
        encode(values, "TIFF"),
        b"P5 3 2 65535\n" + values.astype(">u2").tobytes(),
    ]
    for source in sources:
        np.testing.assert_array_equal(read_photo(source), np.repeat(np.array(expected)[..., None], 3, axis=2))


def test_pixels_without_a_fixed_range_are_refused() -> None:
    for mode, value in (("F", 0.5), ("I", 70_000), ("I", 200)):  # the last would be nearly black of 16 bits
        with pytest.raises(DataError, match="no fixed range: save it with 8 or 16 bits"):
            read_photo(encode(Image.new(mode, (2, 2), value), "TIFF"))


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 102)]
    expected = [[[255, 0, 0], [255, 255, 255], [153, 153, 153]]]
    np.testing.assert_array_equal(read_photo(encode(rgba, "PNG")), expected)
    la = Image.fromarray(rgba).convert("LA")
    np.testing.assert_array_equal(read_photo(encode(la, "PNG"))[0, 1:], np.array(expected)[0, 1:])
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    for kind in ("PNG", "GIF"):
        photo = read_photo(encode(palette, kind, transparency=0))
        np.testing.assert_array_equal(photo, [[[255, 255, 255], [0, 0, 255]]])
    keyed = encode(np.array([[9, 200]], np.uint8), "PNG", transparency=9)
    np.testing.assert_array_equal(read_photo(keyed)[0, :, 0], [255, 200])
    rgb = encode(np.array([[(1, 2, 3), (4, 5, 6)]], np.uint8), "PNG", transparency=(1, 2, 3))
    np.testing.assert_array_equal(read_photo(rgb), [[[255, 255, 255], [4, 5, 6]]])
    deep = png16(np.array([[(65_535, 0), (0, 65_535)]], np.uint16), alpha=True)
    np.testing.assert_array_equal(read_photo(deep)[0, :, 0], [255, 0])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    photo = read_photo(encode(Image.fromarray(corners()).convert("CMYK"), kind))
    shown = photo[[4, 4, -4, -4], [4, -4, 4, -4]].astype(int)
    np.testing.assert_allclose(shown, TURNS[1], atol=12)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_animations_give_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = read_photo(encode(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    np.testing.assert_allclose(photo.astype(int), np.full((6, 8, 3), RED), atol=2 if kind == "MPO" else 0)


def test_tiny_and_long_photos() -> None:
    np.testing.assert_array_equal(read_photo(encode(np.array([[[1, 2, 3]]], np.uint8), "PNG")), [[[1, 2, 3]]])
    assert read_photo(encode(corners(100, 6000), "JPEG")).shape == (100, 6000, 3)


# A reduced decode


def test_a_large_jpeg_is_decoded_smaller_only_when_asked() -> None:
    encoded = encode(corners(400, 600), "JPEG")
    assert read_photo(encoded).shape == (400, 600, 3)
    assert read_photo(encoded, shortest=100).shape == (100, 150, 3)
    assert read_photo(encoded, shortest=101).shape == (200, 300, 3)  # never below what was asked for
    assert read_photo(encoded, shortest=400).shape == (400, 600, 3)
    assert read_photo(encoded, shortest=4000).shape == (400, 600, 3)
    np.testing.assert_allclose(read_photo(encoded, shortest=100)[::60, ::90], corners(100, 150)[::60, ::90], atol=3)
    assert read_photo(encode(corners(400, 600), "PNG"), shortest=100).shape == (400, 600, 3)
    with pytest.raises(OptionError, match="at least 1 pixel"):
        read_photo(encoded, shortest=0)


# What is no picture


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"This is a text, not a photo.\n", "its content is none of JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "its content is none of JPEG"),
        (encode(corners(200, 200), "JPEG")[:1500], "truncated"),
        (encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "PNG")[:-3000], "truncated"),
        (encode(corners(), "BMP")[:-50], "truncated"),
        (b"\xff\xd8\xff\xe0" + bytes(40), ""),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), ""),
        (b"P6 30000 30000 255\n" + bytes(30), "more than 179 million pixels"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"holiday\.jpg' is not a readable image: ") as caught:
        read_photo(path)
    message = str(caught.value)
    assert why in message
    assert "\n" not in message
    assert message.endswith(".")
    assert "object at 0x" not in message
    with pytest.raises(DataError, match=r"^the given data is not a readable image: "):
        read_photo(content)


def test_things_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.jpg' is not a readable image: there is no such file\.$"):
        read_photo(tmp_path / "absent.jpg")
    with pytest.raises(DataError, match="it is not a file"):
        read_photo(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="it is not a file"):
        read_photo(tmp_path / "pipe.jpg")


# Listing


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes, an empty one, and many things that are no photos."""
    root = tmp_path / "pets"
    for value, name in enumerate(["dog/10.PNG", "dog/9.png", "cat/a.png", "cat/more/b.bmp", "cat-fish/x.gif"]):
        save(grey(10 * value), root / name)
    (root / "ant").mkdir()
    (root / "ant" / "notes.txt").write_text("none yet")
    for ignored in [".hidden/h.png", "__MACOSX/dog/._9.png", "dog/.9.png"]:
        save(grey(1), root / ignored)
    for ignored in ["dog/Thumbs.db", "README.md", "dog/list.csv", "dog/noending"]:
        (root / ignored).write_text("no photo")
    return root


def pack(folder: Path, archive: Path, top: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(archive, "w", method) as packed:
        for path in sorted(folder.rglob("*"), reverse=True):
            packed.write(path, top + path.relative_to(folder).as_posix())
    return archive


def check_tree(photos: Photos) -> None:
    # in order of the parts: the class cat before cat-fish, though "-" sorts before "/"
    assert photos.names == ("cat/a.png", "cat/more/b.bmp", "cat-fish/x.gif", "dog/10.PNG", "dog/9.png")
    assert photos.classes == ("cat", "cat-fish", "dog")
    assert photos.labels.tolist() == [0, 0, 1, 2, 2]
    assert photos.labels.dtype == np.int64
    assert photos.empty_classes == ("ant",)
    assert len(photos) == 5
    assert [int(photos.read(i)[0, 0, 0]) for i in range(5)] == [20, 30, 40, 0, 10]


def test_folder_of_classes(tree: Path) -> None:
    photos = open_photos(str(tree))
    check_tree(photos)
    assert photos.root == tree
    assert photos.sizes.tolist() == [(tree / name).stat().st_size for name in photos.names]


def test_archives_equal_the_folder(tree: Path, tmp_path: Path) -> None:
    photos = open_photos(tree)
    archives = [
        pack(tree, tmp_path / "plain.zip"),
        pack(tree, tmp_path / "stored.zip", "pets/", zipfile.ZIP_STORED),
        pack(tree, tmp_path / "deep.ZIP", "a/b/", zipfile.ZIP_BZIP2),
    ]
    for archive in archives:
        packed = open_photos(archive)
        check_tree(packed)
        assert packed.fingerprint == photos.fingerprint


def test_folders_that_hold_everything_are_left_out(tree: Path, tmp_path: Path) -> None:
    outer = tmp_path / "downloads" / "set-1"
    outer.mkdir(parents=True)
    tree.rename(outer / "pets")
    (tmp_path / "downloads" / "licence.txt").write_text("none")
    (tmp_path / "downloads" / "annotations").mkdir()
    photos = open_photos(tmp_path / "downloads")
    check_tree(photos)
    (outer / "pets" / "cat" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"downloads/set-1/pets/cat/a\.png' is not a readable image: the file is empty"):
        photos.read(0)


def test_flat_folder_and_archive_have_no_classes(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG"):
        save(grey(5), tmp_path / "holiday" / name)
    (tmp_path / "holiday" / "empty").mkdir()
    for path in (
        tmp_path / "holiday",
        pack(tmp_path / "holiday", tmp_path / "plain.zip"),
    ):
        photos = open_photos(path)
        assert photos.names == ("a.JPG", "b.png")
        assert photos.classes == photos.empty_classes == ()
        assert photos.labels.tolist() == [-1, -1]
    (tmp_path / "holiday" / "empty").rmdir()
    packed = open_photos(pack(tmp_path / "holiday", tmp_path / "top.zip", "holiday/"))
    assert packed.names == ("a.JPG", "b.png")
    assert packed.labels.tolist() == [-1, -1]
    assert int(packed.read(1)[0, 0, 0]) == 5
    # the same photos in one folder of a folder are a class
    photos = open_photos(tmp_path)
    assert photos.classes == ("holiday",)


def test_a_single_class_beside_an_empty_one_stays_a_class(tmp_path: Path) -> None:
    save(grey(5), tmp_path / "pets" / "dog" / "a.png")
    (tmp_path / "pets" / "cat").mkdir()
    for path in (tmp_path / "pets", pack(tmp_path / "pets", tmp_path / "pets.zip")):
        photos = open_photos(path)
        assert photos.names == ("dog/a.png",)
        assert photos.classes == ("dog",)
        assert photos.empty_classes == ("cat",)


def test_photos_beside_class_folders_have_no_class(tree: Path) -> None:
    save(grey(99), tree / "loose.png")
    photos = open_photos(tree)
    assert photos.names[-1] == "loose.png"
    assert photos.labels.tolist() == [0, 0, 1, 2, 2, -1]
    rest = photos.exclude(["cat"])
    assert rest.classes == ("cat-fish", "dog")
    assert rest.labels.tolist() == [0, 1, 1, -1]


def test_single_photo(tmp_path: Path) -> None:
    photos = open_photos(save(grey(3), tmp_path / "one.png"))
    save(grey(4), tmp_path / "two.png")
    assert photos.names == ("one.png",)
    assert photos.labels.tolist() == [-1]
    assert int(photos.read(0)[0, 0, 0]) == 3


def test_links_are_followed_but_not_in_circles(tree: Path, tmp_path: Path) -> None:
    save(grey(7), tmp_path / "elsewhere" / "z.png")
    (tree / "linked").symlink_to(tmp_path / "elsewhere")
    (tree / "dog" / "up").symlink_to(tree)
    (tree / "dog" / "broken.png").symlink_to(tmp_path / "absent.png")
    photos = open_photos(tree)
    assert "linked/z.png" in photos.names
    assert len(photos) == 6


def test_archive_from_another_system(tmp_path: Path) -> None:
    archive = tmp_path / "windows.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("set\\cat\\a.png", "set\\dog\\b.png", "__MACOSX\\set\\cat\\._a.png", "..\\up.png", "/x/../y.png"):
            packed.writestr(name, encode(grey(8), "PNG"))
    photos = open_photos(archive)
    assert photos.names == ("cat/a.png", "dog/b.png")
    assert int(photos.read(1)[0, 0, 0]) == 8


def test_subset_and_exclude(tree: Path) -> None:
    photos = open_photos(tree)
    some = photos.subset([4, 0])
    assert some.names == ("dog/9.png", "cat/a.png")
    assert some.labels.tolist() == [2, 0]
    assert some.classes == photos.classes
    assert [int(some.read(i)[0, 0, 0]) for i in range(2)] == [10, 20]
    assert photos.subset(photos.labels == 2).names == ("dog/10.PNG", "dog/9.png")
    assert len(photos.subset([])) == 0
    rest = photos.exclude(["cat", "cat-fish"])
    assert rest.classes == ("dog",)
    assert rest.labels.tolist() == [0, 0]
    assert rest.names == ("dog/10.PNG", "dog/9.png")
    assert photos.exclude("dog").classes == ("cat", "cat-fish")
    with pytest.raises(UnknownNameError, match="no class 'dgo': did you mean dog"):
        photos.exclude(["dgo"])


def test_fingerprint_tells_names_sizes_and_order(tree: Path) -> None:
    photos = open_photos(tree)
    assert len(photos.fingerprint) == 64
    assert open_photos(tree).fingerprint == photos.fingerprint
    assert photos.subset([0, 1]).fingerprint != photos.subset([1, 0]).fingerprint
    (tree / "dog" / "9.png").rename(tree / "dog" / "8.png")
    renamed = open_photos(tree).fingerprint
    (tree / "dog" / "8.png").write_bytes(b"longer" * 99)
    assert len({photos.fingerprint, renamed, open_photos(tree).fingerprint}) == 3


def test_bad_paths_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file or folder '.*absent': give a folder"):
        open_photos(tmp_path / "absent")
    with pytest.raises(DataError, match="there is no file or folder"):
        open_photos("x" * 5000)
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"empty' holds no photo .*: give a folder"):
        open_photos(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match=r"notes\.txt' is neither a folder, nor a \.zip"):
        open_photos(tmp_path / "notes.txt")


def test_damaged_archives_are_explained(tree: Path, tmp_path: Path) -> None:
    archive = pack(tree, tmp_path / "pets.zip")
    whole = archive.read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"pets\.zip' is not a readable zip archive \(.*\): download or pack"):
            open_photos(archive)
    with zipfile.ZipFile(archive, "w"):
        pass
    with pytest.raises(DataError, match="holds no photo"):
        open_photos(archive)
    # the mark of encryption in both headers
    locked = bytearray(pack(tree, archive, method=zipfile.ZIP_STORED).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.find(signature)
        while at >= 0:
            locked[at + offset] |= 1
            at = locked.find(signature, at + 1)
    archive.write_bytes(locked)
    with pytest.raises(DataError, match="are encrypted: unpack"):
        open_photos(archive)


def test_a_damaged_photo_in_an_archive_is_found_by_its_checksum(tmp_path: Path) -> None:
    save(grey(50), tmp_path / "set" / "a" / "1.bmp")
    save(grey(60), tmp_path / "set" / "b" / "2.bmp")
    archive = pack(tmp_path / "set", tmp_path / "set.zip", method=zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[content.find(bytes([50]) * 12)] = 51  # one pixel: still a picture
    archive.write_bytes(content)
    photos = open_photos(archive)
    with pytest.raises(DataError, match=r"set\.zip/a/1\.bmp' is not a readable image: Bad CRC-32"):
        photos.read(0)
    assert int(photos.read(1)[0, 0, 0]) == 60


# Reading many


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for value in range(40):
        save(grey(value), tmp_path / "many" / f"{value:02}.png")
    (tmp_path / "many" / "20.png").write_text("a text")
    return tmp_path / "many"


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("packed", [False, True])
def test_read_many_keeps_the_order_and_names_what_it_skips(many: Path, packed: bool, threads: int) -> None:
    photos = open_photos(pack(many, many.parent / "many.zip") if packed else many)
    order = [*range(39, -1, -1), 3, 3]
    seen = list(read_many(photos, iter(order), threads=threads))
    assert [index for index, _ in seen] == order
    for index, photo in seen:
        if index == 20:
            assert isinstance(photo, UnreadablePhoto)
            assert photo.name == "20.png"
            assert photo.why.startswith("its content is none of")
        else:
            assert not isinstance(photo, UnreadablePhoto)
            np.testing.assert_array_equal(photo, grey(index))


def test_read_many_passes_on_the_shortest_side(tmp_path: Path) -> None:
    photos = open_photos(save(corners(400, 600), tmp_path / "large.jpg"))
    ((_, photo),) = read_many(photos, [0], shortest=200)
    assert not isinstance(photo, UnreadablePhoto)
    assert photo.shape == (200, 300, 3)
    assert photos.read(0, shortest=50).shape == (50, 75, 3)


def test_read_many_stops_when_it_is_left(many: Path) -> None:
    asked = []
    reading = read_many(open_photos(many), (asked.append(i) or i for i in range(40)), threads=2)
    next(reading)
    assert len(asked) <= 6  # it decodes ahead, but not without bound
    reading.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("photos")]


def test_read_many_checks_its_options_at_once(many: Path) -> None:
    photos = open_photos(many)
    with pytest.raises(OptionError, match="at least one thread"):
        read_many(photos, [0], threads=0)
    with pytest.raises(OptionError, match="at least 1 pixel"):
        read_many(photos, [0], shortest=0)
    with pytest.raises(OptionError, match="at least one photo must be read ahead"):
        read_many(photos, [0], ahead=0)


def test_read_many_goes_on_in_its_threads_and_no_further_ahead_than_asked(many: Path) -> None:
    photos, asked, where = open_photos(many), [], set()

    def then(photo: np.ndarray) -> int:
        where.add(threading.current_thread().name)
        return int(photo[0, 0, 0])

    reading = read_many(photos, (asked.append(i) or i for i in range(len(photos))), threads=1, ahead=5, then=then)
    first = next(reading)
    assert len(asked) == 6
    expected = [(i, photos._read_or_skip(i, None)) for i in range(len(photos))]
    rest = [first, *reading]
    assert rest == [(i, p if isinstance(p, UnreadablePhoto) else int(p[0, 0, 0])) for i, p in expected]
    assert threading.current_thread().name not in where


def test_a_photo_that_vanishes_is_skipped(many: Path) -> None:
    photos = open_photos(many)
    (many / "01.png").unlink()
    assert dict(read_many(photos, [1]))[1] == UnreadablePhoto("01.png", "there is no such file")


def _levels(photos: Photos) -> list[int]:
    return [int(photos.read(i)[0, 0, 0]) for i in range(len(photos)) if i != 20]


def test_an_archive_is_read_from_threads_and_forked_processes_at_once(many: Path) -> None:
    photos = open_photos(pack(many, many.parent / "many.zip"))
    expected = [i for i in range(40) if i != 20]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_levels, [photos] * 4) == [expected] * 4
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(_levels(photos))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4
    assert _levels(pickle.loads(pickle.dumps(photos))) == expected


# Splits


def test_split_is_stratified() -> None:
    labels = np.repeat([0, 1, 2, 3, -1], [1, 2, 10, 400, 5])
    np.random.default_rng(5).shuffle(labels)
    train, held_out = split(labels, 0.2, seed=0)
    assert train.dtype == held_out.dtype == np.int64
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(held_out) > 0).all()
    counts = {label: int((labels[held_out] == label).sum()) for label in (0, 1, 2, 3, -1)}
    assert counts == {0: 0, 1: 1, 2: 2, 3: 80, -1: 1}
    # both sides keep a photo, however large the share
    train, _ = split(labels, 0.99, seed=0)
    assert {label: int((labels[train] == label).sum()) for label in (0, 1, 2)} == {0: 1, 1: 1, 2: 1}


def test_split_is_the_seeds_and_each_class_is_its_own() -> None:
    labels = np.repeat([0, 1, 2], 50)
    first = split(labels, 0.3, seed=1)[1]
    np.testing.assert_array_equal(split(labels.tolist(), 0.3, seed=1)[1], first)
    assert not np.array_equal(split(labels, 0.3, seed=2)[1], first)
    # classes do not share one pattern, and do not depend on each other
    assert len({tuple(first[first // 50 == label] % 50) for label in range(3)}) == 3
    np.testing.assert_array_equal(split(labels[:100], 0.3, seed=1)[1], first[first < 100])
    # pinned: a split that was stored once must come again in every version
    assert split([0] * 12, 0.25, seed=7)[1].tolist() == [1, 3, 11]


def test_split_refuses_what_is_out_of_range() -> None:
    for share in (0, 1, -0.1, float("nan")):
        with pytest.raises(OptionError, match="share must lie between 0 and 1"):
            split([0, 0], share, seed=0)
    with pytest.raises(OptionError, match="seed must be 0 or more"):
        split([0, 0], 0.5, seed=-1)


# The house, and real photos


def test_reading_photos_loads_no_torch() -> None:
    code = "import sys, deconvnet.data.photos; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not CALTECH.is_file(), reason=f"Caltech-101 is not at {CALTECH}")
def test_real_caltech_archive() -> None:
    photos = open_photos(CALTECH)
    assert len(photos) == 9144
    assert len(photos.classes) == 102
    assert photos.empty_classes == ()
    assert photos.names[0] == "BACKGROUND_Google/image_0001.jpg"
    counts = np.bincount(photos.labels)
    assert (counts.min(), counts.max()) == (31, 800)
    objects = photos.exclude(["BACKGROUND_Google"])
    assert len(objects) == 8677
    assert len(objects.classes) == 101
    train, held_out = split(objects.labels, 0.2, seed=0)
    assert len(held_out) == pytest.approx(0.2 * 8677, abs=25)
    assert set(objects.labels[held_out]) == set(objects.labels[train]) == set(range(101))
    for _, photo in read_many(objects, range(0, 8677, 400), shortest=128):
        assert not isinstance(photo, UnreadablePhoto)
        assert min(photo.shape[:2]) >= 60
