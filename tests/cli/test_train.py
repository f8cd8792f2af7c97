"""``deconvnet train`` and ``evaluate``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

import deconvnet
from deconvnet.runs import Run
from deconvnet.training.record import TrainingRecord

SMALL = ("--size", 64, "--fc-width", 16, "--batch-size", 4, "--threads", 1)
FIGURES = re.compile(r"top-1 \S+, top-5 \S+, mean over .*?classes (\S+%)")


def test_train_then_evaluate(command, two_classes, tmp_path):
    shutil.copytree(two_classes, tmp_path / "data")
    (tmp_path / "data" / "red" / "text.jpg").write_text("no photo")
    (tmp_path / "data" / "empty").mkdir()
    answer = command("train", "practical", "--data", "data", "--out", "run", "--epochs", 2, *SMALL)
    assert answer.code == 0, answer
    assert "the first red/text.jpg" in answer.out
    assert "the folder empty holds no photo and is no class" in answer.out
    assert answer.err.count("epoch ") == 2
    run = Run.open(tmp_path / "run", "train")
    assert run.finished
    assert len(TrainingRecord.read(run).metrics) == 2
    assert (tmp_path / "run" / "curve.png").read_bytes().startswith(b"\x89PNG")
    network = deconvnet.load(str(tmp_path / "run" / "network.safetensors"))
    assert network.classes == ("other", "red")
    assert network.input_shape == (3, 64, 64)
    assert network.module.get_submodule("fc6").out_features == 16

    printed = re.search(r"held out \((\d+) photos\): top-1 (\S+), top-5 (\S+), mean over classes (\S+)", answer.out)
    assert printed, answer.out
    measured = command("evaluate", "run/network.safetensors", "--data", "data")
    assert measured.code == 0, measured
    again = re.search(
        r"on (\d+) held-out photos \(centre crop\): top-1 (\S+), top-5 (\S+), mean over 2 classes (\S+)", measured.out
    )
    assert again, measured.out
    assert again.groups() == printed.groups()
    every = command("evaluate", "run/network.safetensors", "--data", "data", "--all", "--ten-crops")
    assert "on 20 all photos (ten crops)" in every.out


# Ctrl-C reaches this process even where its parent ignores it, as a shell's background job does. It waits for Ctrl-C
# as soon as it has told of its second epoch, so that the run cannot end before, however late the signal comes.
WAITS = """
import signal, sys, time

signal.signal(signal.SIGINT, signal.default_int_handler)
told = sys.stderr.write

def write(text):
    count = told(text)
    if text.startswith("epoch   2 "):
        sys.stderr.flush()
        while True:
            time.sleep(0.01)
    return count

sys.stderr.write = write
from deconvnet.cli import main
main()
"""


def test_resume_goes_on_and_ends_as_if_uninterrupted(command, two_classes, tmp_path):
    """Ctrl-C in a process of its own leaves a run with whole epochs, says so, and --resume finishes it."""
    epochs = 4
    arguments = [*map(str, ("train", "practical", "--data", two_classes, "--out", "run", "--epochs", epochs, *SMALL))]
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, *arguments],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    before: list[str] = []
    for line in process.stderr:
        before.append(line)
        if line.startswith("epoch   2 "):
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=600)  # of no matter for the result: only that a hanging test ends
    assert process.returncode == 130, (before, err)
    assert "interrupted; the last whole epoch is in run: the same command with --resume goes on." in err
    assert "Traceback" not in err
    run = Run.open(tmp_path / "run", "train")
    done = len(TrainingRecord.read(run).metrics)
    assert done == 2
    assert not run.finished

    without = command(*arguments)
    assert without.code == 2
    assert "holds a train run already" in without.err
    other = command(*arguments[:-2], "--seed", 5, "--resume")
    assert other.code == 2
    assert "made with other settings (seed: 0 there, 5 here)" in other.err
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed
    assert resumed.err.count("epoch ") == epochs - done
    assert [m["epoch"] for m in TrainingRecord.read(Run.open(tmp_path / "run")).metrics] == list(range(1, epochs + 1))
    assert (tmp_path / "run" / "network.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--epochs", 0], "epochs must be at least 1"),
        (["--size", 0], "size must be at least 1"),
        (["--size", 8], "8"),
        (["--batch-size", 0], "batch_size must be at least 1"),
        (["--fc-width", 0], "fc_width"),
        (["--threads", 0], "--threads must be at least 1"),
        (["--seed", -1], "seed"),
        (["--network", "zfnett"], "did you mean zfnet"),
        (["--exclude", "rod"], "did you mean red"),
        (["--exclude", "red"], "at least two classes"),
        (["--device", "tpu0"], "tpu0"),
    ],
)
def test_refused_options(refused, two_classes, options, part):
    assert part in refused("train", "practical", "--data", two_classes, "--out", "run", *options)


def test_refused_recipe_data_and_place(refused, two_classes, tmp_path):
    def refuse(data, out="run", recipe="practical"):
        return refused("train", recipe, "--data", data, "--out", out, *SMALL)

    (tmp_path / "none").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "bare" / "a").mkdir(parents=True)
    (tmp_path / "bare" / "b").mkdir()
    shutil.copytree(two_classes / "red", tmp_path / "one" / "red")
    assert "did you mean practical" in refuse(two_classes, recipe="practicle")
    assert "there is no file or folder 'nowhere'" in refuse("nowhere")
    assert "holds no photo" in refuse("none")
    assert "holds no photo" in refuse("bare")
    assert "at least two classes" in refuse("one")
    assert "is a file, and a run needs a folder" in refuse(two_classes, "file")
    assert "is not empty and not a run" in refuse(two_classes, "one")


def test_evaluate_refuses(refused, small_weights, two_classes, tmp_path):
    assert "does not say how the photos were split" in refused("evaluate", small_weights, "--data", two_classes)
    assert "other classes than zfnet was trained on" in refused(
        "evaluate", small_weights, "--data", two_classes, "--all"
    )
