"""Photos in two sets found again: normalised correlation by its formula, and photos changed as they are in the wild."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from deconvnet.data import open_photos, sample_photos
from deconvnet.errors import OptionError
from deconvnet.experiments.transfer.duplicates import SIDE, correlations, find_duplicates, thumbnail


@pytest.fixture(scope="module")
def samples():
    pytest.importorskip("skimage")
    return {photo.name: photo.pixels for photo in sample_photos()}


def slow(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two grey pictures, pixel by pixel in float64."""
    a, b = ([float(v) for v in each.reshape(-1)] for each in (one, other))
    ma, mb = math.fsum(a) / len(a), math.fsum(b) / len(b)
    top = math.fsum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True))
    return top / math.sqrt(math.fsum((x - ma) ** 2 for x in a) * math.fsum((y - mb) ** 2 for y in b))


def grey(photo: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def test_the_correlation_by_its_formula(samples):
    names = ("astronaut", "chelsea", "coffee", "rocket")
    found, mirrored = correlations(*[np.stack([thumbnail(samples[name]) for name in names])] * 2)
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            plain = slow(grey(samples[one]), grey(samples[other]))
            turned = slow(grey(samples[one])[:, ::-1], grey(samples[other]))
            assert found[i, j] == pytest.approx(max(plain, turned), abs=2e-6)
            assert mirrored[i, j] == (turned > plain)


def test_thumbnails_are_centred_and_of_length_one(samples):
    vector = thumbnail(samples["coffee"]).astype(np.float64)
    assert vector.sum() == pytest.approx(0, abs=1e-4)
    assert vector @ vector == pytest.approx(1, abs=1e-5)
    assert not thumbnail(np.full((40, 50, 3), 200, np.uint8)).any()


def test_changed_photos_are_found_and_others_are_not(samples, tmp_path):
    seen, new = tmp_path / "seen", tmp_path / "new"
    for folder in (seen, new):
        folder.mkdir()
    for name, pixels in samples.items():
        Image.fromarray(pixels).save(seen / f"{name}.png")
    small = Image.fromarray(samples["chelsea"]).resize((150, 100))
    small.save(new / "a-smaller.jpg", quality=50)
    dim = (samples["coffee"][:, ::-1] * 0.6 + 30).astype(np.uint8)
    Image.fromarray(dim).save(new / "b-mirrored-and-dim.jpg")
    Image.fromarray(samples["astronaut"]).convert("L").save(new / "c-grey.png")
    Image.fromarray(samples["rocket"][40:-40, 60:-10]).save(new / "d-cropped.png")
    Image.fromarray(np.full((60, 60, 3), 9, np.uint8)).save(new / "e-flat.png")
    (new / "f-broken.jpg").write_bytes(b"no picture")
    told = []
    found = find_duplicates(
        open_photos(new), open_photos(seen), progress=lambda report: told.append((report.done, report.total))
    )
    assert [(each.photo, each.seen, each.mirrored) for each in found] == [
        ("a-smaller.jpg", "chelsea.png", False),
        ("b-mirrored-and-dim.jpg", "coffee.png", True),
        ("c-grey.png", "astronaut.png", False),
    ]
    assert all(0.99 < each.correlation <= 1 for each in found)
    assert told[-1] == (13, 13)
    everything = find_duplicates(open_photos(new), open_photos(seen), 0.05)
    assert {each.photo[0] for each in everything} == {"a", "b", "c", "d"}  # a flat photo correlates with none


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_thresholds_out_of_range(two_classes, threshold):
    photos = open_photos(two_classes)
    with pytest.raises(OptionError, match="above 0 and is at most 1"):
        find_duplicates(photos, photos, threshold)
