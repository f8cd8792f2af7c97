"""Mining runs that are killed, resumed, divided among processes, and given bad photos or disks."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import deconvnet
from deconvnet.errors import DataError, OptionError, RunError
from deconvnet.experiments.top_nine import mine, shards
from deconvnet.experiments.top_nine.shards import Worker
from deconvnet.mining.run_record import MiningRecord
from deconvnet.runs import Run

LAYERS = ["conv1", "conv2", "conv4"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def photos(two_classes, tmp_path_factory) -> Path:
    """Forty photos, two of which are damaged."""
    root = tmp_path_factory.mktemp("forty") / "photos"
    for copy in ("a", "b"):
        for path in sorted(two_classes.rglob("*.jpg")):
            target = root / path.parent.name / f"{copy}{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (root / "red" / "a3.jpg").write_text("no photo")
    whole = (root / "other" / "b7.jpg").read_bytes()
    (root / "other" / "b7.jpg").write_bytes(whole[: len(whole) // 2])
    return root


@pytest.fixture(scope="module")
def whole(small_network, small_weights, photos, tmp_path_factory) -> Run:
    """The run of one process that nobody killed."""
    return mined(small_network, small_weights, photos, tmp_path_factory.mktemp("whole") / "run")


def mined(network, weights, photos, out, **options) -> Run:
    options = {"layers": LAYERS, "k": 4, "batch_size": 3, "weights": str(weights), "threads": 1, **options}
    return mine(network, deconvnet.open_photos(photos), out, **options)


def assert_same(a: Run, b: Run) -> None:
    assert (a.path / "record.safetensors").read_bytes() == (b.path / "record.safetensors").read_bytes()
    one, other = ({**each.json("record"), "processes": 0, "seconds": {}} for each in (a, b))
    assert one == other
    assert a.finished
    assert b.finished
    assert not (a.path / shards.FOLDER).exists()


def command(small_weights, photos, out, *more: object, every: int = 3) -> list[str]:
    layers = [word for layer in LAYERS for word in ("--layer", layer)]
    words = ["mine", small_weights, "--data", photos, "--out", out, "--k", 4, "--batch-size", 3, *layers]
    return [str(word) for word in (*words, "--state-every", every, *more)]


def test_photos_that_cannot_be_read_are_named(whole):
    record = MiningRecord.read(whole)
    assert [entry.name for entry in record.skipped] == ["other/b7.jpg", "red/a3.jpg"]
    assert all(entry.why for entry in record.skipped)
    assert len(record.names) == 40
    assert {"forward", "mining", "waiting", "preparing"} <= set(record.seconds)


def test_state_files_change_nothing(small_network, small_weights, photos, whole, tmp_path):
    assert_same(mined(small_network, small_weights, photos, tmp_path / "run", state_every=1), whole)


@pytest.mark.parametrize("stop", [1, 4, 12])
def test_an_interrupted_run_goes_on_where_it_was(small_network, small_weights, photos, whole, tmp_path, stop):
    class Stop(Exception):
        pass

    def tell(report):
        assert report.total == 40
        told.append(report.done)
        if report.done >= 3 * stop and len(told) > 1:
            raise Stop

    told: list[int] = []
    with pytest.raises(Stop):
        mined(small_network, small_weights, photos, tmp_path / "run", progress=tell, state_every=6)
    assert not Run.open(tmp_path / "run").finished
    with pytest.raises(RunError, match="holds a mine run already"):
        mined(small_network, small_weights, photos, tmp_path / "run")
    told = []
    resumed = mined(
        small_network,
        small_weights,
        photos,
        tmp_path / "run",
        resume=True,
        progress=lambda report: told.append(report.done),
    )
    assert told[0] == max(0, 3 * (stop - 1)) // 6 * 6  # as the last state says
    assert told[-1] == 40
    assert_same(resumed, whole)
    assert_same(mined(small_network, small_weights, photos, tmp_path / "run", resume=True), whole)  # finished already


def test_killed_at_once_and_resumed_gives_the_same_bits(small_weights, photos, whole, tmp_path):
    """A process killed by the kernel (kill -9), as soon as it has left a state."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deconvnet", *command(small_weights, photos, tmp_path / "run")],
        env=ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    state = tmp_path / "run" / shards.name(0, 1)
    wait_for(lambda: state.with_suffix(".safetensors").exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    killed = Run.open(tmp_path / "run")
    assert not killed.finished
    kept = shards.read(killed, 0, 1)
    assert kept is not None
    assert 0 < kept.done < kept.total
    again = [sys.executable, "-m", "deconvnet", *command(small_weights, photos, tmp_path / "run", "--resume")]
    subprocess.run(again, env=ONE_THREAD, check=True, capture_output=True)
    assert_same(Run.open(tmp_path / "run"), whole)


def wait_for(what, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.002)


def torchrun(small_weights, photos, out, *more: object) -> subprocess.CompletedProcess[str]:
    words = ["--standalone", "--nproc-per-node", "2", "-m", "deconvnet"]
    line = [sys.executable, "-m", "torch.distributed.run", *words, *command(small_weights, photos, out, *more)]
    return subprocess.run(line, env=ONE_THREAD, capture_output=True, text=True, timeout=120)


def test_two_processes_of_torchrun_equal_one(small_weights, photos, whole, tmp_path):
    done = torchrun(small_weights, photos, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert_same(Run.open(tmp_path / "run"), whole)
    assert MiningRecord.read(Run.open(tmp_path / "run")).processes == 2
    assert "38 photos mined" in done.stdout
    again = torchrun(small_weights, photos, tmp_path / "run")
    assert again.returncode != 0
    assert "holds a mine run already" in again.stderr
    assert "stops, because the first one could not begin" in again.stderr


@pytest.mark.parametrize("lost", [0, 2])
def test_a_lost_shard_is_told_and_redone(small_network, small_weights, photos, whole, tmp_path, lost):
    """Shards by hand; of one only a state is left, as of a process that was killed."""
    shares = shards.shares(14, 3)
    assert [len(share) for share in shares] == [4, 5, 5]
    for number in range(3):
        worker = Worker(number, 3, alone=True)
        if number != lost:
            run = mined(small_network, small_weights, photos, tmp_path / "run", worker=worker)
            assert not run.finished
            continue

        def stop(report):
            if report.done >= 9:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            mined(small_network, small_weights, photos, tmp_path / "run", worker=worker, state_every=3, progress=stop)
    left = shards.unfinished(Run.open(tmp_path / "run"), 3)
    assert [(shard, state.done if state else None) for shard, state in left] == [(lost, 2)]
    with pytest.raises(RunError, match=f"shard {lost + 1}/3 of .* was begun already: add --resume"):
        mined(small_network, small_weights, photos, tmp_path / "run", worker=Worker(lost, 3, alone=True))
    again = mined(small_network, small_weights, photos, tmp_path / "run", resume=True)  # a single process takes all
    assert_same(again, whole)


def test_more_processes_than_batches(small_network, small_weights, photos, tmp_path):
    few = deconvnet.open_photos(photos).subset([0, 1, 2])
    options = {"layers": ["conv1"], "weights": str(small_weights), "batch_size": 2}
    one = mine(small_network, few, tmp_path / "one", **options)
    for number in range(4):
        last = mine(small_network, few, tmp_path / "four", worker=Worker(number, 4, alone=True), **options)
    assert_same(last, one)


def test_other_inputs_are_refused_by_name(small_network, small_weights, photos, tmp_path):
    def stop(report):
        if report.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mined(small_network, small_weights, photos, tmp_path / "run", progress=stop)

    def refused(part, **options):
        with pytest.raises(RunError, match=part):
            mined(small_network, small_weights, options.pop("data", photos), tmp_path / "run", resume=True, **options)

    refused(r"other settings \(k: 4 there, 5 here\)", k=5)
    refused(r"other settings \(batch_size: 3 there, 4 here\)", batch_size=4)
    refused(r"other settings \(seed: 0 there, 1 here\)", seed=1)
    moved = shutil.copytree(photos, tmp_path / "moved")
    (moved / "red" / "a4.jpg").write_bytes((moved / "red" / "a5.jpg").read_bytes() + b"\0")
    refused(r"other inputs \(photos_sha256: .* there, .* here\)", data=moved)
    (moved / "red" / "a4.jpg").unlink()
    refused(r"other inputs \(photos: 40 there, 39 here; photos_sha256", data=moved)


def test_photos_elsewhere_are_the_same_photos(small_network, small_weights, photos, whole, tmp_path):
    def stop(report):
        if report.done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mined(small_network, small_weights, photos, tmp_path / "run", progress=stop, state_every=6)
    moved = shutil.copytree(photos, tmp_path / "moved")
    assert_same(mined(small_network, small_weights, moved, tmp_path / "run", resume=True), whole)


def test_a_run_that_moves_with_its_photos_finds_them(small_network, small_weights, photos, tmp_path):
    here = tmp_path / "here"
    shutil.copytree(photos, here / "photos")
    mined(small_network, small_weights, here / "photos", here / "run", layers=["conv1"])
    assert Run.open(here / "run").manifest["places"]["photos_relative"] == "../photos"
    here.rename(tmp_path / "there")
    moved = Run.open(tmp_path / "there" / "run")
    assert moved.place("photos") == str(tmp_path / "there" / "photos")
    deconvnet.draw_top_nine(moved, "conv1", channels=[1])
    shutil.rmtree(tmp_path / "there" / "photos")
    with pytest.raises(RunError, match=r"are gone from .*here/photos: say where they lie now"):
        deconvnet.draw_top_nine(moved, "conv1", channels=[1])


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing_half(small_weights, photos, whole, tmp_path):
    """Files may not grow beyond 100 kB, less than a state takes: what a disk says that is full."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    line = [sys.executable, "-m", "deconvnet", *command(small_weights, photos, tmp_path / "run")]
    full = subprocess.run(line, env=ONE_THREAD, capture_output=True, text=True, preexec_fn=limit)
    assert full.returncode == 2, full.stderr
    assert full.stderr.count("\n") == 1
    assert "could not be written (File too large): check the folder and the disk" in full.stderr
    assert sorted(path.name for path in (tmp_path / "run").rglob("*") if path.is_file()) == ["manifest.json"]
    subprocess.run([*line, "--resume"], env=ONE_THREAD, check=True, capture_output=True)
    assert_same(Run.open(tmp_path / "run"), whole)


def test_a_damaged_state_is_told(small_network, small_weights, photos, tmp_path):
    def stop(report):
        if report.done > 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mined(small_network, small_weights, photos, tmp_path / "run", progress=stop, state_every=3)
    path = tmp_path / "run" / f"{shards.name(0, 1)}.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"1-of-1.safetensors is damaged"):
        mined(small_network, small_weights, photos, tmp_path / "run", resume=True)


def test_fewer_photos_than_asked_for(small_network, small_weights, photos, tmp_path):
    few = deconvnet.open_photos(photos).subset([0, 1])
    run = mine(small_network, few, tmp_path / "run", layers=["conv1"], k=5, weights=str(small_weights))
    found = MiningRecord.read(run).mined["conv1"]
    assert (found.photos[:, 2:] == -1).all()
    assert (found.photos[:, :2] >= 0).all()


def test_class_means_are_those_of_the_photos(small_network, small_weights, photos, whole):
    found = MiningRecord.read(whole).mined["conv2"]
    assert found.spread is not None
    np.testing.assert_array_equal(found.spread.class_counts, [19, 19])
    means = np.array([found.spread.class_means(c) for c in range(found.channels)])
    np.testing.assert_allclose(means.mean(axis=1), found.mean_maximum, rtol=1e-6)


def test_bad_options(small_network, small_weights, photos, tmp_path):
    for text in ("0/3", "4/3", "a", "1/0"):
        with pytest.raises(OptionError, match="is not a shard"):
            Worker.parse(text)
    for option in ("threads", "state_every", "batch_size", "k"):
        with pytest.raises(OptionError, match=f"{option} must be at least 1"):
            mined(small_network, small_weights, photos, tmp_path / "run", **{option: 0})
    with pytest.raises(OptionError, match="overwrites nothing"):
        mined(small_network, small_weights, photos, tmp_path / "run", worker=Worker(0, 2, alone=True), overwrite=True)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.jpg").write_text("no photo")
    with pytest.raises(DataError, match="none of the 1 photos"):
        mined(small_network, small_weights, bad, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    mined(small_network, small_weights, photos, tmp_path / "run", worker=Worker(0, 3, alone=True))
    with pytest.raises(OptionError, match="divided into 3 shards, not 2"):
        mined(small_network, small_weights, photos, tmp_path / "run", worker=Worker(0, 2, alone=True))
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["shards"] == 3
