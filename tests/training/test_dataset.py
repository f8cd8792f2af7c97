"""What training learns from: split, decoding, crops, tints, order. Pieces of real photos as JPEG folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deconvnet.data import Mnist, load_mnist, open_photos, sample_photos
from deconvnet.errors import DataError
from deconvnet.networks import Preprocessing, lenet_preprocessing
from deconvnet.training import Augmentation, DigitDataset, PhotoDataset
from deconvnet.training.dataset import channel_mean, epoch_order, pixel_mean

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
PLAIN = Augmentation(crop="centre", flip=False)


def write_pieces(folder: Path, count: int = 10, names: tuple[str, ...] = ("coffee", "chelsea")) -> Path:
    pytest.importorskip("skimage")
    for photo in sample_photos():
        if photo.name in names:
            rng = np.random.default_rng(0)
            for i in range(count):
                top, left = (int(rng.integers(side - 90)) for side in photo.pixels.shape[:2])
                path = folder / photo.name / f"{i:02}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(photo.pixels[top : top + 80, left : left + 90]).save(path, quality=90)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pieces(tmp_path / "photos")


@pytest.fixture
def dataset(folder: Path) -> PhotoDataset:
    found = PhotoDataset(open_photos(folder), 0.2, seed=0)
    found.decode(72, lambda done, total: None)
    return found


def test_split_is_by_class_whole_and_repeatable(folder: Path) -> None:
    first, again = (PhotoDataset(open_photos(folder), 0.2, seed=0) for _ in range(2))
    other = PhotoDataset(open_photos(folder), 0.2, seed=1)
    assert first.classes == ("chelsea", "coffee")
    assert sorted([*first.train, *first.held_out]) == list(range(20))
    assert np.bincount(first.labels[first.held_out]).tolist() == [2, 2]
    assert first.names(first.held_out) == again.names(again.held_out)
    assert first.names(first.held_out) != other.names(other.held_out)
    assert all(name.split("/")[0] == first.classes[first.labels[i]]
               for i, name in enumerate(first.names(np.arange(20))))  # fmt: skip


def test_a_split_by_folders_is_used_as_it_is(tmp_path: Path) -> None:
    write_pieces(tmp_path / "photos" / "train", count=6)
    write_pieces(tmp_path / "photos" / "val", count=2)
    found = PhotoDataset(open_photos(tmp_path / "photos"), 0.5, seed=0)
    assert found.classes == ("chelsea", "coffee")
    assert {name.split("/")[0] for name in found.names(found.train)} == {"train"}
    assert {name.split("/")[0] for name in found.names(found.held_out)} == {"val"}
    assert np.bincount(found.labels[found.train]).tolist() == [6, 6]
    assert np.bincount(found.labels[found.held_out]).tolist() == [2, 2]
    assert all(found.classes[found.labels[i]] == name.split("/")[1]
               for i, name in enumerate(found.names(np.arange(16))))  # fmt: skip


def test_a_class_without_training_photos_is_told(tmp_path: Path) -> None:
    write_pieces(tmp_path / "photos" / "train", count=2, names=("coffee",))
    write_pieces(tmp_path / "photos" / "test", count=2)
    with pytest.raises(DataError, match="no training photo of class 'chelsea'"):
        PhotoDataset(open_photos(tmp_path / "photos"), 0.5, seed=0)


def test_small_photos_stay_small_where_crops_are_resized(folder: Path) -> None:
    found = PhotoDataset(open_photos(folder), 0.2, seed=0)
    found.decode(120, lambda done, total: None, enlarge=False)
    assert {photo.shape for photo in found._pixels.values()} == {(80, 90, 3)}
    assert found.batch(found.train[:2], 96, Augmentation(), np.random.default_rng(0)).shape == (2, 96, 96, 3)
    found.decode(40, lambda done, total: None, enlarge=False)
    assert {photo.shape for photo in found._pixels.values()} == {(40, 45, 3)}


def test_damaged_photos_are_skipped_and_named_once(folder: Path) -> None:
    probe = PhotoDataset(open_photos(folder), 0.2, seed=0)
    bad_train, bad_held = probe.names(probe.train)[3], probe.names(probe.held_out)[1]
    for name in (bad_train, bad_held):
        size = (folder / name).stat().st_size
        (folder / name).write_bytes(b"\xff\xd8" + bytes(size - 2))
    dataset = PhotoDataset(open_photos(folder), 0.2, seed=0)
    dataset.decode(72, lambda done, total: None)
    assert bad_train not in dataset.names(dataset.train)
    assert len(dataset.train) == 15
    p = Preprocessing(64, 72, np.zeros((3, 1, 1), np.float32))
    for _ in range(2):
        assert len(dataset.views(probe.held_out, p)) == 3
    assert bad_held not in dataset.names(dataset.held_out)
    dataset.decode(72, lambda done, total: None)
    assert [s.name for s in dataset.skipped] == [bad_train, bad_held]
    assert all(s.why for s in dataset.skipped)


def test_no_readable_photo_is_told(folder: Path) -> None:
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"no photo")
    dataset = PhotoDataset(open_photos(folder), 0.2, seed=0)
    with pytest.raises(DataError, match=r"none of the 16 training photos of .* can be read"):
        dataset.decode(72, lambda done, total: None)


def test_one_class_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="at least two classes"):
        PhotoDataset(open_photos(folder / "coffee"), 0.2, seed=0)


def test_progress_ends_at_the_total(folder: Path) -> None:
    calls = []
    PhotoDataset(open_photos(folder), 0.2, seed=0).decode(72, lambda *call: calls.append(call))
    assert calls[-1] == (16, 16)


def test_the_centre_crop_is_the_view(dataset: PhotoDataset) -> None:
    """Training on centre crops sees what evaluation sees."""
    p = Preprocessing(64, 72, np.zeros((3, 1, 1), np.float32))
    crops = dataset.batch(dataset.train, 64, PLAIN, np.random.default_rng(0))
    np.testing.assert_array_equal(crops, np.stack(dataset.views(dataset.train, p)).astype(np.float32))


def test_ten_crops_are_the_papers(dataset: PhotoDataset) -> None:
    p = Preprocessing(64, 72, np.zeros((3, 1, 1), np.float32))
    index = dataset.train[:1]
    (_, photo), = dataset.read(index, np.asarray)  # fmt: skip
    allowed = [crop.tobytes() for crop in p.ten_crops(photo)]
    rng, seen = np.random.default_rng(0), set()
    for _ in range(120):
        crop = dataset.batch(index, 64, Augmentation(crop="ten", flip=False), rng)[0].astype(np.uint8)
        seen.add(allowed.index(crop.tobytes()))
    assert seen == set(range(10))


def test_random_crops_lie_in_the_photo_and_half_are_mirrored(dataset: PhotoDataset) -> None:
    index = int(dataset.train[0])
    photo = dataset._pixels[index]
    rng, mirrored = np.random.default_rng(0), 0
    places = {photo[y : y + 64, x : x + 64].tobytes(): (y, x) for y in range(photo.shape[0] - 63)
              for x in range(photo.shape[1] - 63)}  # fmt: skip
    found = set()
    for _ in range(200):
        crop = dataset.batch(np.array([index]), 64, Augmentation(crop="random"), rng)[0].astype(np.uint8)
        if crop.tobytes() not in places:
            crop, mirrored = crop[:, ::-1], mirrored + 1
        found.add(places[crop.tobytes()])
    assert 70 < mirrored < 130
    assert {y for y, _ in found} == set(range(photo.shape[0] - 63))


def test_resized_crops_and_tints(dataset: PhotoDataset) -> None:
    rng = np.random.default_rng(0)
    plain = dataset.batch(dataset.train, 48, Augmentation(flip=False, area=0.99), np.random.default_rng(1))
    assert plain.shape == (16, 48, 48, 3)
    assert plain.dtype == np.float32
    assert 0 <= plain.min() <= plain.max() <= 255
    tinted = dataset.batch(dataset.train, 48, Augmentation(flip=False, area=0.99, tint=0.3), np.random.default_rng(1))
    factors = tinted.mean((1, 2)) / plain.mean((1, 2))
    np.testing.assert_allclose(tinted, plain * factors[:, None, None], atol=1e-2)
    assert (np.abs(factors - 1) <= 0.3 + 1e-4).all()
    assert factors.std(1).max() > 0.05  # each channel its own
    bright = dataset.batch(dataset.train, 48, Augmentation(area=0.99, flip=False, brightness=0.2),
                            np.random.default_rng(1))  # fmt: skip
    factors = bright.mean((1, 2)) / plain.mean((1, 2))
    np.testing.assert_allclose(factors.std(1), 0, atol=1e-4)  # all channels alike
    assert factors.std() > 0.05
    assert dataset.batch(dataset.train[:1], 48, Augmentation(), rng).shape == (1, 48, 48, 3)


def test_pca_colour_moves_along_the_principal_colours(dataset: PhotoDataset) -> None:
    """Krizhevsky et al., Sec. 4.1: one shift a photo, with the covariance of the pixels times 0.1 squared."""
    many = np.repeat(dataset.train, 150)
    plain = dataset.batch(many, 4, PLAIN, np.random.default_rng(0))
    moved = dataset.batch(many, 4, Augmentation(crop="centre", flip=False, pca=0.1), np.random.default_rng(0))
    shifts = moved - plain
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[:, :1, :1], shifts.shape), atol=1e-3)
    pixels = np.concatenate([dataset._pixels[int(i)].reshape(-1, 3) for i in dataset.train]).astype(np.float64)
    covariance = np.cov(pixels.T)
    np.testing.assert_allclose(np.cov(shifts[:, 0, 0].T), 0.01 * covariance, atol=0.1 * 0.01 * covariance.max())


def test_a_batch_follows_from_the_generator(dataset: PhotoDataset) -> None:
    a = Augmentation(brightness=0.2, tint=0.1, pca=0.1)
    one, two = (dataset.batch(dataset.train, 32, a, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, dataset.batch(dataset.train, 32, a, np.random.default_rng(8)))


def test_photos_of_extreme_shape_can_be_cropped(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i, shape in enumerate([(1, 1), (3, 90), (200, 2)]):
            Image.new("RGB", shape[::-1], (40, 80, 120)).save(tmp_path / name / f"{i}.png")
    dataset = PhotoDataset(open_photos(tmp_path), 0.3, seed=0)
    dataset.decode(40, lambda done, total: None)
    for kind in ("resized", "random", "ten", "centre"):
        crops = dataset.batch(dataset.train, 32, Augmentation(crop=kind), np.random.default_rng(0))
        assert (crops == (40, 80, 120)).all()


def test_order_shows_every_photo_once(dataset: PhotoDataset) -> None:
    order = epoch_order(dataset, None, np.random.default_rng(0))
    assert sorted(order) == sorted(dataset.train)
    assert list(order) != sorted(order)


def test_order_evens_classes_out(tmp_path: Path) -> None:
    write_pieces(tmp_path, 12, ("coffee",))
    write_pieces(tmp_path, 4, ("chelsea",))
    dataset = PhotoDataset(open_photos(tmp_path), 0.25, seed=0)  # 3 and 9 for training
    order = epoch_order(dataset, (5, 7), np.random.default_rng(0))
    assert np.bincount(dataset.labels[order]).tolist() == [5, 7]
    few = order[dataset.labels[order] == 0]
    assert sorted(np.unique(few, return_counts=True)[1]) == [1, 2, 2]  # 3 photos shown 5 times
    many = order[dataset.labels[order] == 1]
    assert len(set(many)) == 7
    assert set(order) <= set(dataset.train)


def test_means() -> None:
    views = [np.random.default_rng(i).integers(0, 256, (5, 5, 3), dtype=np.uint8) for i in range(4)]
    stack = np.stack(views).astype(np.float64)
    np.testing.assert_allclose(channel_mean(views)[:, 0, 0], stack.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(pixel_mean(views), stack.mean(0).transpose(2, 0, 1), rtol=1e-6)
    assert pixel_mean(views).dtype == channel_mean(views).dtype == np.float32


def test_digits_keep_their_own_test_set() -> None:
    if not MNIST.is_dir():
        pytest.skip(f"MNIST is not at {MNIST}")
    digits = load_mnist(MNIST)
    few = Mnist(digits.train_images[:50], digits.train_labels[:50], digits.test_images[:20], digits.test_labels[:20])
    dataset = DigitDataset(few)
    assert list(dataset.train) == list(range(50))
    assert list(dataset.held_out) == list(range(50, 70))
    np.testing.assert_array_equal(dataset.labels[dataset.held_out], digits.test_labels[:20])
    crops = dataset.batch(dataset.held_out, 32, PLAIN, np.random.default_rng(0))
    views = np.stack(dataset.views(dataset.held_out, lenet_preprocessing()))
    np.testing.assert_array_equal(crops, views)
    np.testing.assert_array_equal(views[3, 2:30, 2:30, 0], digits.test_images[3])
    other = Mnist(digits.train_images[1:51], digits.train_labels[1:51], few.test_images, few.test_labels)
    assert DigitDataset(other).fingerprint != dataset.fingerprint
