"""Many training runs as parts of one experiment: each in a folder of its own, none done twice, each resumed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deconvnet.errors import RunError
from deconvnet.networks import load
from deconvnet.progress import Progress
from deconvnet.runs import Run
from deconvnet.training import Dataset, Recipe, train
from deconvnet.training.loop import NETWORK
from deconvnet.training.record import TrainingRecord


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training run came to.

    Attributes
    ----------
    last : dict
        The last line of its metrics: ``train_top1``, ``val_top1``, ``val_top5``, ``val_per_class``, ...
    parameters : int
        Trainable weights and biases.
    seconds : float
        Of all epochs, wall time.
    anew : bool
        Whether anything was trained now; a finished run is only read.
    """

    last: dict[str, Any]
    parameters: int
    seconds: float
    anew: bool


def trained(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    *,
    card: dict[str, Any] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> TrainingOutcome:
    """Train, go on with a run that was killed, or read one that is finished.

    Raises
    ------
    RunError
        If the folder holds something else, or a run with another recipe or other photos.
    DataError, OptionError, UnknownNameError
        As :func:`deconvnet.training.train`.
    """
    run = _finished(recipe, dataset, folder)
    anew = run is None
    if run is None:
        run, _, _ = train(recipe, dataset, folder, resume=True, card=card, device=device, progress=progress)
    metrics = TrainingRecord.read(run).metrics
    if not metrics:
        raise RunError(f"{folder} holds no epoch: remove it and train anew.")
    return TrainingOutcome(
        dict(metrics[-1]),
        load(str(run.path / NETWORK)).parameters,
        sum(each.get("seconds", 0.0) for each in metrics),
        anew,
    )


def _finished(recipe: Recipe, dataset: Dataset, folder: Path) -> Run | None:
    """The run, if it is finished and was made by this recipe of these photos."""
    if not (folder / "manifest.json").is_file():
        return None
    run = Run.open(folder, "train")
    if not run.finished:
        return None
    asked = json.loads(json.dumps(recipe.record()))
    differing = [key for key in asked if run.settings.get(key) != asked[key]]
    if run.inputs.get("data") != dataset.fingerprint:
        differing.append("photos")
    if differing:
        raise RunError(
            f"{folder} was trained with other settings ({', '.join(differing)}): choose another folder or remove it."
        )
    return run
