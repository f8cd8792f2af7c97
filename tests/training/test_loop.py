"""The training loop on pieces of real photos: killed and resumed, stages, snapshots, refusals, and that it learns.

One thread throughout: sums of several threads may differ in the last bit.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from deconvnet.data import Mnist, load_mnist, open_photos, sample_photos
from deconvnet.errors import DataError, OptionError, RunError, UnknownNameError
from deconvnet.networks import build, load
from deconvnet.progress import only
from deconvnet.runs import Run
from deconvnet.training import (
    RECIPES,
    DigitDataset,
    EpochReport,
    PhotoDataset,
    Recipe,
    Stage,
    TrainingStep,
    recipe,
    resample_fc6,
    train,
)
from deconvnet.training.record import TrainingRecord

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
TWO_STAGES = replace(
    RECIPES["caltech101"],
    stages=(Stage(64, 2, 0.1), Stage(96, 2, 0.2)),
    options={"fc_width": 16, "widths": (8, 8, 8)},
    batch_size=8,
    balance=(6, 12),
)
ONE_STAGE = replace(TWO_STAGES, stages=(Stage(64, 2, 0.0),), balance=None)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pieces(folder: Path, *names: str) -> Path:
    """Classes of twelve pieces of a photo each."""
    pytest.importorskip("skimage")
    for photo in sample_photos():
        if photo.name in names:
            (folder / photo.name).mkdir()
            rng = np.random.default_rng(0)
            for i in range(12):
                top, left = (int(rng.integers(side - 110)) for side in photo.pixels.shape[:2])
                piece = photo.pixels[top : top + 100, left : left + 110]
                Image.fromarray(piece).save(folder / photo.name / f"{i:02}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pieces(tmp_path_factory.mktemp("photos"), "coffee", "chelsea")


def dataset(folder: Path, plan: Recipe = TWO_STAGES) -> PhotoDataset:
    return PhotoDataset(open_photos(folder), plan.held_out, plan.seed)


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all epochs without interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(TWO_STAGES, dataset(folder), out, card={"data": "pieces"})
    return out


def metrics(out: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
            for line in json.loads((out / "record.json").read_text())["metrics"]]  # fmt: skip


def tensors(out: Path) -> dict[str, torch.Tensor]:
    return load(str(out / "network.safetensors")).module.state_dict()


def assert_same_run(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    first, second = tensors(one), tensors(other)
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    files = [sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) for out in (one, other)]
    assert files[0] == files[1]


def test_a_run_is_whole(whole: Path, folder: Path) -> None:
    run = Run.open(whole, "train")
    assert run.manifest["finished"]
    lines = list(TrainingRecord.read(run).metrics)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["size"] for line in lines] == [64, 64, 96, 96]
    own = dataset(folder)
    assert list(TrainingRecord.read(run).held_out) == own.names(own.held_out)
    assert TrainingRecord.read(run).skipped == ()
    network = load(str(whole / "network.safetensors"))
    assert network.classes == ("chelsea", "coffee")
    assert network.input_shape == (3, 96, 96)
    assert network.card["data"] == "pieces"
    assert network.card["recipe"]["name"] == "caltech101"
    assert network.card["held_out_top1"] == lines[-1]["val_top1"]
    photos = [own.photos.read(int(i)) for i in own.held_out]
    right = network.probabilities(photos).argmax(1) == own.labels[own.held_out]
    assert right.mean() == pytest.approx(lines[-1]["val_top1"])


def test_snapshots_are_kept_at_the_recipes_epochs(whole: Path) -> None:
    """Fig. 4's epochs 1, 2, 5, 10, 20, 30, 40, 64 of 64, shrunk to 4."""
    names = sorted(path.name for path in (whole / "snapshots").iterdir())
    assert names == ["epoch-0001.safetensors", "epoch-0002.safetensors", "epoch-0004.safetensors"]
    first, last = (load(str(whole / "snapshots" / name)) for name in (names[0], names[-1]))
    assert first.input_shape == (3, 64, 64)
    for key, value in tensors(whole).items():
        torch.testing.assert_close(last.module.state_dict()[key], value, rtol=1e-3, atol=1e-6)
    assert replace(TWO_STAGES, stages=(Stage(64, 64),)).snapshot_epochs == (1, 2, 5, 10, 20, 30, 40, 64)


def test_the_optimizers_averages_are_carried_into_the_next_stage(whole: Path) -> None:
    """All but fc6's weights, whose shape changes, have been averaged over both stages."""
    state = torch.load(whole / "checkpoint.pt", weights_only=True)
    steps = [int(state["optimizer"]["state"][i]["step"]) for i in range(len(state["optimizer"]["state"]))]
    expected = {name: 8 for name in state["module"]} | {"fc6.weight": 4}  # two steps an epoch
    assert dict(zip(state["module"], steps, strict=True)) == expected


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from pathlib import Path
from dataclasses import replace
from deconvnet.data import open_photos
from deconvnet.training import RECIPES, PhotoDataset, Stage, TrainingStep, train
from deconvnet.progress import only

def step(s):
    if (s.epoch, s.done) == (int(sys.argv[3]), 2):
        os.kill(os.getpid(), signal.SIGKILL)

plan = replace(RECIPES["caltech101"], stages=(Stage(64, 2, 0.1), Stage(96, 2, 0.2)),
               options={"fc_width": 16, "widths": (8, 8, 8)}, batch_size=8, balance=(6, 12))
dataset = PhotoDataset(open_photos(sys.argv[1]), plan.held_out, plan.seed)
train(plan, dataset, sys.argv[2], card={"data": "pieces"}, progress=only(TrainingStep, step))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("epoch", [2, 3])
def test_a_killed_run_goes_on_as_if_nothing_had_been(whole: Path, folder: Path, tmp_path: Path, epoch: int) -> None:
    """Killed inside a stage, and in the first epoch of the second, where the optimizer was just carried over."""
    out = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(out), str(epoch)])
    assert done.returncode == -signal.SIGKILL
    assert len(metrics(out)) == epoch - 1
    assert not Run.open(out).manifest["finished"]
    if epoch == 3:  # as if killed between a metrics line and its checkpoint, and while writing a file
        record = json.loads((out / "record.json").read_text())
        lines = record["metrics"]
        (out / "record.json").write_text(json.dumps({**record, "metrics": [*lines, {**lines[-1], "epoch": 3}]}))
        (out / ".0123456789abcdef.part").write_bytes(b"half")
    train(TWO_STAGES, dataset(folder), out, resume=True, card={"data": "pieces"})
    assert_same_run(whole, out)


def test_an_interrupted_run_goes_on(whole: Path, folder: Path, tmp_path: Path) -> None:
    """Ctrl-C in the last epoch; the very same dataset serves again."""

    def interrupt(step) -> None:  # type: ignore[no-untyped-def]
        if step.epoch == 4:
            raise KeyboardInterrupt

    own = dataset(folder)
    with pytest.raises(KeyboardInterrupt):
        train(TWO_STAGES, own, tmp_path / "run", card={"data": "pieces"}, progress=only(TrainingStep, interrupt))
    assert len(metrics(tmp_path / "run")) == 3
    train(TWO_STAGES, own, tmp_path / "run", resume=True, card={"data": "pieces"})
    assert_same_run(whole, tmp_path / "run")


def test_resuming_a_finished_run_changes_nothing(whole: Path, folder: Path) -> None:
    before = tensors(whole)
    steps = []
    train(
        TWO_STAGES,
        dataset(folder),
        whole,
        resume=True,
        card={"data": "pieces"},
        progress=only(TrainingStep, steps.append),
    )
    assert not steps
    assert all(torch.equal(value, before[key]) for key, value in tensors(whole).items())


def test_other_settings_or_data_in_the_same_folder_are_refused(whole: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds a train run already: resume it"):
        train(TWO_STAGES, dataset(folder), whole)
    with pytest.raises(RunError, match=r"made with other settings \(seed: 0 there, 1 here\)"):
        train(TWO_STAGES.changed(seed=1), dataset(folder), whole, resume=True)
    for name in ("chelsea", "coffee"):
        (tmp_path / name).mkdir()
        for path in sorted((folder / name).iterdir())[:6]:
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    with pytest.raises(RunError, match="made with other inputs"):
        train(TWO_STAGES, dataset(tmp_path), whole, resume=True)


@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_damaged_checkpoint_is_told(whole: Path, folder: Path, tmp_path: Path, keep: float) -> None:
    for name in ("manifest.json", "record.json", "checkpoint.pt"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    data = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(data[: len(data) // 2 if keep == 0.5 else int(keep)])
    with pytest.raises(RunError, match=r"checkpoint\.pt is damaged .*: remove the run and train anew"):
        train(TWO_STAGES, dataset(folder), tmp_path, resume=True)


def test_damaged_photos_are_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for path in folder.rglob("*.jpg"):
        (photos / path.parent.name).mkdir(parents=True, exist_ok=True)
        (photos / path.parent.name / path.name).write_bytes(path.read_bytes())
    own = dataset(photos, ONE_STAGE)
    bad = [own.names(own.train)[2], own.names(own.held_out)[0]]
    for name in bad:
        (photos / name).write_bytes(b"\xff\xd8 no photo")
    own = dataset(photos, ONE_STAGE)

    def interrupt(step) -> None:  # type: ignore[no-untyped-def]
        if step.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(ONE_STAGE, own, tmp_path / "run", progress=only(TrainingStep, interrupt))
    run, network, found = train(ONE_STAGE, own, tmp_path / "run", resume=True)  # the same dataset, already decoded
    assert [entry.name for entry in TrainingRecord.read(run).skipped] == bad
    assert found.count == network.card["held_out_photos"] == 3
    assert network.card["training_photos"] == 19
    train(ONE_STAGE, dataset(photos, ONE_STAGE), tmp_path / "run", resume=True)  # and a fresh one


def test_it_learns(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """A cat from the night sky."""
    folder = pieces(tmp_path_factory.mktemp("photos"), "chelsea", "hubble_deep_field")
    plan = replace(ONE_STAGE, stages=(Stage(64, 8, 0.0),), label_smoothing=0.0, batch_size=5)
    steps = []
    run, _, found = train(plan, dataset(folder, plan), tmp_path / "run", progress=only(TrainingStep, steps.append))
    lines = list(TrainingRecord.read(run).metrics)
    assert lines[0]["train_loss"] < 1.5
    assert lines[-1]["train_loss"] < 0.35 * lines[0]["train_loss"]
    assert lines[-1]["train_top1"] > 0.9
    assert found.top1 >= 0.75
    assert lines[-1]["learning_rate"] < 1e-9 < lines[0]["learning_rate"]  # a cosine to zero
    assert steps[0].total == 4
    assert steps[-1].seconds_left == pytest.approx(0, abs=1e-6)
    assert lines[-1]["autocorrelation"]["conv1"] > 0.5  # what started smooth stays smooth
    assert set(lines[-1]["autocorrelation"]) == {"conv1", "conv2", "conv3", "conv4", "conv5"}


def test_the_rate_drops_on_a_plateau_also_across_a_resume(folder: Path, tmp_path: Path) -> None:
    """At a rate that moves nothing the held-out loss stays: a drop after more than ``patience`` such epochs."""
    plan = replace(ONE_STAGE, stages=(Stage(64, 6),), schedule="plateau", learning_rate=1e-12, patience=1, warmup=0.0,
                   optimizer="sgd", weight_decay=0.0, batch_size=20)  # fmt: skip

    def interrupt(step) -> None:  # type: ignore[no-untyped-def]
        if step.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan, dataset(folder), tmp_path / "run", progress=only(TrainingStep, interrupt))
    train(plan, dataset(folder), tmp_path / "run", resume=True)
    rates = [line["learning_rate"] for line in metrics(tmp_path / "run")]
    np.testing.assert_allclose(rates, [1e-12, 1e-12, 1e-12, 1e-13, 1e-13, 1e-14], rtol=1e-6)


def test_the_papers_recipe_renormalises_filters_and_subtracts_its_pixel_mean(folder: Path, tmp_path: Path) -> None:
    plan = replace(recipe("paper").changed(epochs=1, size=64, batch_size=10, options={"fc_width": 8}),
                   filter_radius=0.0095)  # fmt: skip
    own = dataset(folder, plan)
    _, network, _ = train(plan, own, tmp_path / "run")
    for part in network.module.modules():
        if isinstance(part, nn.Conv2d):
            rms = part.weight.square().mean((1, 2, 3)).sqrt()
            assert rms.max() <= 0.0095 * (1 + 1e-5)
            assert rms.max() > 0.0094  # of a start at 0.01
    p = network.preprocessing
    views = np.stack(own.views(own.train, p)).astype(np.float64)
    np.testing.assert_allclose(p.mean, views.mean(0).transpose(2, 0, 1), rtol=1e-5)
    assert (p.scale, p.resize) == (1.0, 73)
    assert min(min(photo.shape[:2]) for photo in own._pixels.values()) == 73  # crops are cut at evaluation's scale


@pytest.mark.parametrize(("name", "epochs"), [("lenet5", 3), ("lenet5-1998", 6)])
def test_lenet_learns_digits(tmp_path: Path, name: str, epochs: int) -> None:
    if not MNIST.is_dir():
        pytest.skip(f"MNIST is not at {MNIST}")
    d = load_mnist(MNIST)
    few = Mnist(d.train_images[:1500], d.train_labels[:1500], d.test_images[:200], d.test_labels[:200])
    _, network, found = train(recipe(name).changed(epochs=epochs, batch_size=25), DigitDataset(few), tmp_path / "run")
    assert found.count == 200
    assert found.top1 > 0.75
    digit = few.test_images[0]
    assert network.probabilities([digit]).argmax() == few.test_labels[0]


def test_a_loss_that_is_no_number_is_told(folder: Path, tmp_path: Path) -> None:
    plan = replace(ONE_STAGE, optimizer="sgd", learning_rate=1e30, warmup=0.0)
    with pytest.raises(RunError, match=r"the loss became (nan|inf) in epoch \d+, step \d+: lower the learning rate"):
        train(plan, dataset(folder), tmp_path / "run")


def refusals() -> list:
    return [
        ({"network": "zfnett"}, UnknownNameError, "did you mean zfnet"),
        ({"options": {"fc_widht": 3}}, UnknownNameError, "did you mean fc_width"),
        ({"options": {"fc_width": 0}}, OptionError, "fc_width must be at least 1"),
        ({"stages": (Stage(64, 1), Stage(9, 1))}, OptionError, "9 x 9 px leaves nothing"),
        ({"network": "lenet5"}, OptionError, "lenet5 learns from digits"),
        ({"augmentation": RECIPES["paper"].augmentation}, OptionError, "same input size in every stage"),
    ]


@pytest.mark.parametrize(("changes", "error", "message"), refusals())
def test_what_cannot_work_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, changes: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(replace(TWO_STAGES, **changes), dataset(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_device_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the device 'cuda:99' cannot be used"):
        train(TWO_STAGES, dataset(folder), tmp_path / "run", device="cuda:99")
    with pytest.raises(OptionError, match="the device 'abacus' cannot be used"):
        train(TWO_STAGES, dataset(folder), tmp_path / "run", device="abacus")
    assert not (tmp_path / "run").exists()


def test_classes_of_single_photos_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (80, 80)).save(tmp_path / "photos" / name / "only.png")
    with pytest.raises(DataError, match="no photo is held out"):
        train(TWO_STAGES, dataset(tmp_path / "photos"), tmp_path / "run")


def test_a_full_disk_loses_at_most_an_epoch(folder: Path, tmp_path: Path) -> None:
    """A real refusal by the system: no file may grow beyond 100 kB for a while, and the checkpoint is larger."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(line) -> None:  # type: ignore[no-untyped-def]
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))

    try:
        with pytest.raises(RunError, match="could not be written"):
            train(ONE_STAGE, dataset(folder), tmp_path / "run", progress=only(EpochReport, fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "run").rglob("*.part"))
    run, _, _ = train(ONE_STAGE, dataset(folder), tmp_path / "run", resume=True)
    assert run.manifest["finished"]


def test_batch_normalisation_is_folded_and_a_killed_run_goes_on(folder: Path, tmp_path: Path) -> None:
    plan = replace(TWO_STAGES, batch_norm=True, first_layer_start=0.2, watched=3, optimizer="sgd", nesterov=True)

    def interrupt(step) -> None:  # type: ignore[no-untyped-def]
        if step.epoch == 4:
            raise KeyboardInterrupt

    train(plan, dataset(folder), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(plan, dataset(folder), tmp_path / "killed", progress=only(TrainingStep, interrupt))
    train(plan, dataset(folder), tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    network = load(str(tmp_path / "whole" / "network.safetensors"))
    assert not any("_bn" in name for name in network.module.state_dict())
    assert network.card["held_out_photos"] > 3


def test_resampled_fc6_responds_alike_to_constant_maps() -> None:
    """Sizes 64, 96, 128 and 224 px end in maps of 1, 2, 3 and 6 cells."""
    torch.manual_seed(0)
    nets = [build("zfnet", input_size=size, fc_width=5, num_classes=2, widths=(4, 4, 6)) for size in (64, 96, 128, 224)]
    states = [net.state_dict() for net in nets]
    assert [math.isqrt(state["fc6.weight"].shape[1] // 6) for state in states] == [1, 2, 3, 6]
    level = torch.rand(6, generator=torch.Generator().manual_seed(1))
    for old, new in pairwise(states):
        grown = resample_fc6(old, new)
        assert {key: value.shape for key, value in grown.items()} == {key: value.shape for key, value in new.items()}
        responses = [state["fc6.weight"].view(5, 6, -1).sum(2) @ level for state in (old, grown)]
        torch.testing.assert_close(responses[1], responses[0], rtol=1e-4, atol=1e-5)
        assert all(torch.equal(grown[key], old[key]) for key in old if key != "fc6.weight")


def test_resampling_keeps_where_a_filter_looks() -> None:
    old, new = ({"conv5.weight": torch.zeros(1, 2, 3, 3), "fc6.weight": torch.zeros(1, n * n)} for n in (3, 6))
    old["fc6.weight"][0, 2] = 1  # the upper right corner
    grown = resample_fc6(old, new)["fc6.weight"].view(6, 6)
    assert grown.argmax() == 5
    assert (grown[3:] == 0).all()
    assert (grown[:, :3] == 0).all()


def test_without_fc6_and_fc7_the_classifier_is_resampled() -> None:
    small, large = (build("zfnet", input_size=s, num_classes=3, remove=(6, 7)).state_dict() for s in (64, 96))
    assert resample_fc6(small, large)["fc8.weight"].shape == large["fc8.weight"].shape


def test_recipes_are_data() -> None:
    for name, found in RECIPES.items():
        assert found.name == name
        json.dumps(found.record())
        assert sum(1 for e in range(1, found.epochs + 1) if found.stage_of(e)) == found.epochs
    paper = recipe("paper")
    assert (paper.batch_size, paper.learning_rate, paper.momentum, paper.epochs) == (128, 0.01, 0.9, 70)
    assert (paper.initialization, paper.filter_radius, paper.scale, paper.mean) == ("paper", 0.1, 1.0, "pixel")
    with pytest.raises(UnknownNameError, match="no recipe 'papers': did you mean paper"):
        recipe("papers")


def test_recipes_can_be_shortened_and_changed() -> None:
    plan = recipe("caltech101")
    assert [(s.size, s.epochs) for s in plan.changed(epochs=23).stages] == [(64, 9), (96, 6), (128, 8)]
    assert plan.changed(epochs=1).epochs == 1
    assert [(s.size, s.epochs, s.dropout) for s in plan.changed(size=80).stages] == [(80, 46, 0.4)]
    changed = plan.changed(network="alexnet", seed=3, batch_size=7, options={"lrn": False})
    assert (changed.network, changed.seed, changed.batch_size) == ("alexnet", 3, 7)
    assert changed.options == {"fc_width": 1024, "lrn": False}
    assert plan.options == {"fc_width": 1024}
    for bad in ({"epochs": 0}, {"size": -1}, {"batch_size": 0}, {"seed": -1}):
        with pytest.raises(OptionError, match=next(iter(bad))):
            plan.changed(**bad)
