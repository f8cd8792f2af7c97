"""Batches of photos: what can be read, in order, viewed and stacked ahead; and photos as users give them."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deconvnet.data import Photos, UnreadablePhoto, as_photos, open_photos, read_photo
from deconvnet.errors import DataError, OptionError

BAD = (0, 3, 4, 5, 9)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Ten photos, each of one level; five cannot be read, among them the first and the last."""
    folder = tmp_path / "ten"
    folder.mkdir()
    for number in range(10):
        if number in BAD:
            (folder / f"{number:02d}.png").write_text("no picture")
        else:
            Image.new("RGB", (4, 4), (number * 10,) * 3).save(folder / f"{number:02d}.png")
    return open_photos(folder)


def level(photo: np.ndarray) -> int:
    return int(photo[0, 0, 0])


def test_batches_are_filled_with_what_can_be_read(photos: Photos) -> None:
    told: list[tuple[int, int]] = []
    reading = photos.batches(level, 2, progress=lambda *numbers: told.append(numbers))
    batches = list(reading)
    assert [b.indices for b in batches] == [[1, 2], [6, 7], [8]]
    assert [b.names for b in batches] == [["01.png", "02.png"], ["06.png", "07.png"], ["08.png"]]
    assert [b.views for b in batches] == [[10, 20], [60, 70], [80]]
    assert [sorted(b.unreadable) for b in batches] == [[0], [3, 4, 5], [9]]
    assert [p.name for p in reading.unreadable] == [f"{i:02d}.png" for i in BAD]
    assert all(p.why == photos._read_or_skip(i, None).why for i, p in zip(BAD, reading.unreadable, strict=True))
    assert (reading.count, reading.total) == (5, 10)
    assert told == [(3, 10), (8, 10), (10, 10)]


def test_batches_on_a_grid_hold_what_their_place_has(photos: Photos) -> None:
    batches = list(photos.batches(level, 3, fill=False, stack=tuple))
    assert [b.indices for b in batches] == [[1, 2], [], [6, 7, 8], []]
    assert [b.views for b in batches] == [(10, 20), (), (60, 70, 80), ()]
    assert [b.size for b in batches] == [3, 3, 3, 1]


def test_batches_take_any_order_and_name_a_photo_once(photos: Photos) -> None:
    order = [8, 3, 8, 3, 1]
    reading = photos.batches(level, 4, indices=order)
    (batch,) = reading
    assert batch.indices == [8, 8, 1]
    assert batch.views == [80, 80, 10]
    assert reading.unreadable == [UnreadablePhoto("03.png", photos._read_or_skip(3, None).why)]


def test_trailing_photos_that_cannot_be_read_make_no_batch(photos: Photos) -> None:
    told: list[int] = []
    reading = photos.batches(level, 2, indices=[1, 2, 3, 4], progress=lambda done, _: told.append(done), stack=list)
    assert [b.indices for b in reading] == [[1, 2]]
    assert [p.name for p in reading.unreadable] == ["03.png", "04.png"]
    assert told == [2, 4]


def test_a_set_none_of_which_can_be_read_is_refused_in_one_wording(photos: Photos) -> None:
    with pytest.raises(
        DataError, match=r"^none of the 2 photos of .*ten can be read, 04.png because .*: give others.$"
    ):
        list(photos.batches(level, 8, indices=[4, 3]))
    assert list(photos.batches(level, 8, indices=[4, 3], at_least_one=False)) == []
    with pytest.raises(DataError, match=r"ten holds no photo"):
        list(photos.batches(level, 8, indices=[]))


def test_batches_check_their_options_at_once(photos: Photos) -> None:
    with pytest.raises(OptionError, match="a batch has at least one photo, not 0"):
        photos.batches(level, 0)
    with pytest.raises(OptionError, match="threads=0"):
        photos.batches(level, 1, threads=0)
    with pytest.raises(OptionError, match="ahead=0"):
        photos.batches(level, 1, ahead=0)


def test_a_batch_is_stacked_while_the_one_before_is_in_use(photos: Photos) -> None:
    where: list[str] = []
    stacked = threading.Semaphore(0)

    def stack(views: list[int]) -> list[int]:
        where.append(threading.current_thread().name)
        stacked.release()
        return views

    reading = iter(photos.batches(level, 2, stack=stack))
    next(reading)
    assert stacked.acquire(timeout=10)
    assert stacked.acquire(timeout=10)  # the second one, though the first is not done with
    assert not stacked.acquire(timeout=0.2)  # and no third
    reading.close()
    assert all(name.startswith("batches") for name in where)


def test_reading_ahead_stops_when_it_is_left(photos: Photos) -> None:
    before = threading.active_count()
    for _ in photos.batches(level, 1, stack=list):
        break
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_an_error_of_the_view_is_no_unreadable_photo(photos: Photos) -> None:
    def view(photo: np.ndarray) -> int:
        raise DataError("too small")

    with pytest.raises(DataError, match="too small"):
        list(photos.batches(view, 2))


# Photos as users give them


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_pixels_become_a_collection(tmp_path: Path) -> None:
    colour, grey = pixels(0, 5, 6, 3), pixels(1, 7, 4)
    Image.fromarray(colour).save(tmp_path / "c.png")
    photos = as_photos([colour, Image.fromarray(grey), tmp_path / "c.png", ("mine", grey)])
    assert photos.names == ("photo 1", "photo 2", (tmp_path / "c.png").as_posix(), "mine")
    expected = [colour, grey, colour, grey]
    for photo, right in zip((photos.read(i) for i in range(4)), expected, strict=True):
        np.testing.assert_array_equal(photo, right)
    (batch,) = pickle.loads(pickle.dumps(photos)).batches(np.shape, 8)
    assert batch.views == [(5, 6, 3), (7, 4), (5, 6, 3), (7, 4)]
    assert photos.classes == ()
    assert photos.labels.tolist() == [-1] * 4
    assert photos.address == ""


def test_one_photo_or_several() -> None:
    assert as_photos(pixels(0, 5, 6, 3)).names == ("photo 1",)
    assert as_photos(list(pixels(0, 2, 5, 6, 3))).names == ("photo 1", "photo 2")
    digits = pixels(0, 3, 28, 28)
    np.testing.assert_array_equal(as_photos(list(digits)).read(2), digits[2])
    assert as_photos(Image.fromarray(digits[0])).names == ("photo 1",)


def test_a_path_alone_is_opened_and_a_collection_stays(photos: Photos) -> None:
    assert as_photos(photos) is photos
    assert as_photos(photos.root).names == photos.names
    assert as_photos(str(photos.root / "01.png")).names == ("01.png",)


def test_names_are_given_in_three_ways() -> None:
    one, two = pixels(0, 4, 4, 3), pixels(1, 4, 4, 3)
    assert as_photos([one, two], names=["a", "b"]).names == ("a", "b")
    assert as_photos({"a": one, "b": two}).names == ("a", "b")
    twice = as_photos([("a", one), ("a", two)])
    assert twice.names == ("a", "a (2)")
    np.testing.assert_array_equal(twice.read(1), two)
    with pytest.raises(OptionError, match="1 names were given for 2 photos"):
        as_photos([one, two], names=["a"])
    with pytest.raises(OptionError, match="have their own names"):
        as_photos(twice, names=["a", "b"])


def test_what_is_no_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"an array of float64 \(4, 4, 3\) is not a photo"):
        as_photos([np.zeros((4, 4, 3))])
    with pytest.raises(DataError, match="a int is not a photo"):
        as_photos([3])  # type: ignore[list-item]
    with pytest.raises(DataError, match="a int is not a photo"):
        as_photos(3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="a bytes is not a photo"):
        as_photos(b"three")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"an array of uint8 \(2, 8, 8, 3\) is not a photo"):
        as_photos(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="there is no file or folder"):
        as_photos(tmp_path / "absent")
    missing = as_photos([tmp_path / "absent.png"])
    with pytest.raises(DataError, match=r"absent.png' is not a readable image: there is no such file"):
        missing.read(0)
    with pytest.raises(DataError, match=r"none of the 1 photos of photos at hand can be read, .*absent.png because"):
        list(missing.batches(np.shape, 2))


def test_an_image_is_turned_upright_and_transparency_falls_away(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(0, 4, 6, 3))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(
        as_photos(Image.open(tmp_path / "turned.png")).read(0), read_photo(tmp_path / "turned.png")
    )
    clear = Image.fromarray(pixels(0, 4, 6, 4))
    np.testing.assert_array_equal(as_photos(clear).read(0), np.asarray(clear)[:, :, :3])
