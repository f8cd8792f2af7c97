"""What a training run learned from, found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from deconvnet.data import load_mnist, open_photos
from deconvnet.errors import RunError
from deconvnet.experiments.evolution.photos import training_photos
from deconvnet.runs import Run, places
from deconvnet.training import DigitDataset, PhotoDataset
from deconvnet.training.record import TrainingRecord

MNIST = Path(__file__).parents[4] / "shared" / "data" / "mnist"


def test_photos_without_the_held_out_ones(two_classes, tmp_path):
    dataset = PhotoDataset(open_photos(two_classes), 0.3, 5)
    where = {"places": places(tmp_path / "run", photos=dataset.photos.address)}
    run = Run.create(tmp_path / "run", "train", {}, {"data": dataset.fingerprint}, notes=where)
    TrainingRecord({}, 5, tuple(dataset.classes), tuple(dataset.names(dataset.held_out)), (), ()).write(run)
    found = training_photos(run)
    assert list(found.photos.names) == dataset.names(dataset.train)
    assert found.address == str(two_classes)
    assert len(found.photos) == 14


def test_a_run_that_does_not_say_where(two_classes, tmp_path):
    run = Run.create(tmp_path / "run", "train", {}, {"data": "x"})
    with pytest.raises(RunError, match="--data"):
        training_photos(run)
    TrainingRecord({}, 0, ("other", "red"), (), (), ()).write(run)
    with pytest.raises(RunError, match="are not those"):
        training_photos(run, two_classes)
    with pytest.raises(RunError, match="are gone from"):
        training_photos(run, tmp_path / "none")


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"there is no MNIST in {MNIST}")
def test_digits(tmp_path):
    dataset = DigitDataset(load_mnist(MNIST))
    run = Run.create(tmp_path / "run", "train", {}, {"data": dataset.fingerprint})
    with pytest.raises(RunError, match="--data"):
        training_photos(run)
    assert len(training_photos(run, MNIST).photos) == len(dataset.train) == 60_000
    other = Run.create(tmp_path / "other", "train", {}, {"data": "mnist 10 + 10 0"})
    with pytest.raises(RunError, match="not those"):
        training_photos(other, MNIST)
    with pytest.raises(RunError, match="MNIST is gone"):
        training_photos(other, tmp_path / "none")
