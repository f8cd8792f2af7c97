"""The training loop: runs that are written whole, can be killed at any moment, and go on where they were.

Everything random in an epoch follows from the seed and the epoch's number, so a resumed run continues as the
uninterrupted one would have.
"""

from __future__ import annotations

import copy
import io
import math
import pickle
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.data import none_readable
from deconvnet.errors import DataError, OptionError, RunError
from deconvnet.networks import Network, Preprocessing, build, lenet_preprocessing
from deconvnet.networks.lenet5 import map_loss
from deconvnet.networks.registry import entry
from deconvnet.progress import Progress, counter
from deconvnet.runs import Run, places
from deconvnet.runs.files import write_bytes
from deconvnet.training.batch_norm import folded_state, with_batch_norm
from deconvnet.training.dataset import (
    Dataset,
    DigitDataset,
    PhotoDataset,
    channel_mean,
    epoch_order,
    pixel_mean,
)
from deconvnet.training.evaluation import Accuracy, evaluate
from deconvnet.training.initialization import initialize, renormalize_filters, spatial_autocorrelation
from deconvnet.training.recipes import Recipe, Stage
from deconvnet.training.record import KIND, EpochMetrics, TrainingRecord, UnreadPhoto, holds_record
from deconvnet.training.reports import EpochReport, TrainingStep
from deconvnet.training.resizing import begin_with, carry_state, resample_fc6
from deconvnet.training.schedule import Schedule

CHECKPOINT = "checkpoint.pt"
NETWORK = "network.safetensors"


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: Path | str,
    *,
    start: Network | None = None,
    resume: bool = False,
    card: Mapping[str, Any] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[Run, Network, Accuracy]:
    """Train a network.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    dataset : Dataset
        What to learn from.
    out : path
        The run's folder; see Notes.
    start : Network, optional
        Begin with its weights and preprocessing instead of the recipe's initialization. If it has other classes, its
        last layer is not taken over.
    resume : bool
        Go on after the last whole epoch of the run in ``out``.
    card : mapping, optional
        Facts about the data to put on the weights' card.
    device : str
        ``"cpu"``, ``"cuda"``, ...
    progress : Progress, optional
        Called while photos are read, with a :class:`TrainingStep` after each step and with an :class:`EpochReport`
        after each epoch.

    Returns
    -------
    run : Run
    network : Network
        The trained network, on the CPU in evaluation mode.
    accuracy : Accuracy
        On the held-out photos.

    Raises
    ------
    RunError
        If ``out`` holds something else, or a run with other settings or data.
    DataError
        If the data cannot be trained on.
    UnknownNameError, OptionError
        If the recipe's network or options do not exist, or do not fit the data or the device. Nothing is written then.

    Notes
    -----
    The run holds a `deconvnet.training.record.TrainingRecord` and ``checkpoint.pt`` (both written whole after every
    epoch), ``snapshots/epoch-0010.safetensors`` and, at the end, ``network.safetensors``.
    """
    _check(recipe, dataset, device)
    photos = len(dataset.train) + len(dataset.held_out) + len(dataset.skipped)  # also after a first decoding
    inputs = {"data": dataset.fingerprint, "photos": photos}
    if start is not None:
        if start.name != recipe.network:
            raise OptionError(f"{recipe.network} cannot begin with weights of {start.name}.")
        if recipe.batch_norm:
            raise OptionError(
                f"the recipe {recipe.name} trains from the beginning: leave the weights to begin with out."
            )
        inputs["start"] = start.fingerprint
    where = {"places": places(out, photos=dataset.photos.address)} if isinstance(dataset, PhotoDataset) else {}
    run = Run.create(out, KIND, recipe.record(), inputs, notes=where, resume=resume)
    earlier = TrainingRecord.read(run) if resume and holds_record(run) else None
    if earlier is None:
        _record(recipe, dataset, ()).write(run)
    # "resized" crops are cut from photos with some detail to spare, the others from photos as evaluation sees them
    margin = max(recipe.resize, 1.25) if recipe.augmentation.crop == "resized" else recipe.resize
    side = round(max(s.size for s in recipe.stages) * margin)
    reading = counter(progress, "reading photos") or (lambda done, total: None)
    dataset.decode(side, reading, enlarge=recipe.augmentation.crop != "resized")
    session = _Session(recipe, dataset, run, torch.device(device), dict(card or {}), start)
    if earlier is not None and earlier.metrics and (run.path / CHECKPOINT).is_file():
        session.restore(earlier.metrics)
    while session.epoch < recipe.epochs:
        session.train_epoch(progress)
    network, measured = session.result()
    replace(
        _record(recipe, dataset, session.metrics, session.kept),
        skipped=tuple(UnreadPhoto(s.name, s.why) for s in dataset.skipped),
    ).write(run)
    network.save(run.path / NETWORK)
    run.finish()
    return run, network, measured


def _record(
    recipe: Recipe, dataset: Dataset, metrics: Sequence[EpochMetrics], snapshots: Sequence[str] = ()
) -> TrainingRecord:
    held_out = tuple(dataset.names(dataset.held_out))
    return TrainingRecord(
        recipe.record(), recipe.seed, tuple(dataset.classes), held_out, tuple(metrics), tuple(snapshots)
    )


def _check(recipe: Recipe, dataset: Dataset, device: str) -> None:
    """Refuse what cannot work before anything is written or decoded."""
    found = entry(recipe.network)
    sizes = {stage.size for stage in recipe.stages}
    if (found.channels == 1) != isinstance(dataset, DigitDataset):
        raise OptionError(
            f"{recipe.network} learns from {'digits' if found.channels == 1 else 'photos'}: choose another network "
            "or other data."
        )
    if found.channels == 1 and sizes != {32}:
        raise OptionError(f"{recipe.network} reads 32 x 32 px only: leave the size as it is.")
    if "num_classes" not in found.options and len(dataset.classes) != 10:
        raise OptionError(f"{recipe.network} has 10 classes, and the data {len(dataset.classes)}.")
    if recipe.augmentation.crop != "resized" and len(sizes) > 1:
        raise OptionError(f"crops of kind {recipe.augmentation.crop!r} need the same input size in every stage.")
    if not len(dataset.held_out):
        raise DataError("no photo is held out: at least one class needs two photos.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"the device {device!r} cannot be used ({str(error).splitlines()[0]}): try cpu.") from error
    for stage in recipe.stages:
        with torch.device("meta"):
            build(recipe.network, **_options(recipe, dataset, stage))


def _options(recipe: Recipe, dataset: Dataset, stage: Stage) -> dict[str, Any]:
    """The network's options in a stage: number of classes and input size come from the data and the stage."""
    options = {**recipe.options}
    if "num_classes" in entry(recipe.network).options:
        options["num_classes"] = len(dataset.classes)
    if "input_size" in entry(recipe.network).options:
        options["input_size"] = stage.size
    return options


class _Session:
    """One training run's moving parts."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        run: Run,
        device: torch.device,
        card: dict[str, Any],
        start: Network | None = None,
    ) -> None:
        self.start = start
        self.recipe, self.dataset, self.run, self.device, self.card = recipe, dataset, run, device, card
        self.epoch = 0
        self.metrics: list[EpochMetrics] = []
        self.schedule = Schedule(recipe)
        self.channels = entry(recipe.network).channels
        self.loss = map_loss if recipe.loss == "map" else self._cross_entropy
        torch.manual_seed(recipe.seed)
        self._enter(recipe.stages[0], first=True)

    # -- stages ------------------------------------------------------------------------------------------------------

    def _enter(self, stage: Stage, first: bool = False) -> None:
        """Build the network for a stage's input size and carry weights and optimizer state over."""
        self.stage = stage
        self.preprocessing = self._preprocessing(stage)
        module = build(self.recipe.network, **_options(self.recipe, self.dataset, stage))
        if first and self.start is not None:
            begin_with(module, self.start, self.dataset.classes)
        elif first:
            views = self._sample_views(128)
            initialize(module, self.recipe.initialization, self.preprocessing.tensor(views))
            with torch.no_grad():
                next(module.parameters()).mul_(self.recipe.first_layer_start)
        if self.recipe.batch_norm:
            module = with_batch_norm(module)
        if not first:
            module.load_state_dict(resample_fc6(self.module.state_dict(), module.state_dict()))
        for part in module.modules():
            if isinstance(part, nn.Dropout) and stage.dropout is not None:
                part.p = stage.dropout
        module = module.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimizer = self._optimizer(module)
        if not first:
            carry_state(self.module, self.optimizer, module, optimizer)
        self.module, self.optimizer = module, optimizer
        self._held_out: dict[int | None, tuple[npt.NDArray[np.int64], list[Any]]] = {}

    def _preprocessing(self, stage: Stage) -> Preprocessing:
        if self.channels == 1:
            return lenet_preprocessing()
        if self.start is not None and self.start.preprocessing.mean.shape[1] == 1:
            resize = round(stage.size * self.recipe.resize)
            return replace(self.start.preprocessing, input_size=stage.size, resize=resize)
        plain = Preprocessing(
            stage.size, round(stage.size * self.recipe.resize), np.zeros((3, 1, 1), np.float32), self.recipe.scale
        )
        self.preprocessing = plain
        views = self._sample_views(1000)
        mean = channel_mean(views) if self.recipe.mean == "channel" else pixel_mean(views)
        return replace(plain, mean=mean)

    def _sample_views(self, count: int) -> list[Any]:
        """Views of training photos, evenly spread."""
        train = self.dataset.train
        chosen = train[np.linspace(0, len(train) - 1, min(count, len(train))).round().astype(np.int64)]
        views = self.dataset.views(chosen, self.preprocessing)
        if not views:
            raise none_readable(self.dataset.photos.root, len(chosen), self.dataset.skipped, "training photos")
        return views

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        recipe = self.recipe
        first = next(iter(module.parameters()))
        groups = [
            {
                "params": [p],
                "weight_decay": recipe.weight_decay if p.ndim > 1 else 0.0,
                "multiple": recipe.first_layer_rate if p is first else 1.0,
            }
            for p in module.parameters()
        ]
        if recipe.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.99), foreach=True)
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, foreach=True
        )

    # -- one epoch ---------------------------------------------------------------------------------------------------

    def train_epoch(self, progress: Progress | None) -> None:
        recipe, epoch = self.recipe, self.epoch + 1
        stage = recipe.stage_of(epoch)
        if stage != self.stage:
            self._enter(stage)
        rng = np.random.default_rng([recipe.seed, epoch])
        torch.manual_seed(recipe.seed * 100_003 + epoch)
        order = epoch_order(self.dataset, recipe.balance, rng)
        batches = max(1, len(order) // recipe.batch_size)  # the rest is left out: it differs from epoch to epoch
        seen, loss_sum, right, started = 0, 0.0, 0, time.monotonic()

        def cut(number: int) -> tuple[Tensor, Tensor]:
            chosen = order[number * recipe.batch_size : (number + 1) * recipe.batch_size]
            crops = self.dataset.batch(chosen, stage.size, recipe.augmentation, rng)
            return torch.from_numpy(np.ascontiguousarray(crops)), torch.from_numpy(self.dataset.labels[chosen])

        blend = np.random.default_rng([recipe.seed, epoch, 1])
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(cut, 0)
            for number in range(batches):
                crops, labels = coming.result()
                if number + 1 < batches:
                    coming = ahead.submit(cut, number + 1)
                value, correct = self._step(crops, labels, epoch - 1 + number / batches, blend)
                if not math.isfinite(value):
                    raise RunError(
                        f"the loss became {value} in epoch {epoch}, step {number + 1}: "
                        "lower the learning rate or start from another initialization."
                    )
                seen += len(labels)
                loss_sum += value * len(labels)
                right += correct
                speed = seen / (time.monotonic() - started)
                left = self._work(epoch, (number + 1) / batches) / max(speed, 1e-9) * len(order)
                if progress is not None:
                    progress(
                        TrainingStep(
                            number + 1,
                            batches,
                            f"epoch {epoch}/{recipe.epochs}",
                            f"loss {loss_sum / seen:.3f}  top-1 {right / seen:.1%}  {speed:.0f} img/s",
                            epoch=epoch,
                            epochs=recipe.epochs,
                            loss=loss_sum / seen,
                            top1=right / seen,
                            images_per_second=speed,
                            seconds_left=left,
                        )
                    )

        self.epoch = epoch
        held_out = self.measure(recipe.watched)
        rate = self.schedule.rate(epoch - 1e-9)
        self.schedule.note(held_out.loss)
        self.metrics.append(
            {
                "epoch": epoch,
                "size": stage.size,
                "learning_rate": rate,
                "train_loss": loss_sum / seen,
                "train_top1": right / seen,
                "val_loss": held_out.loss,
                "val_top1": held_out.top1,
                "val_top5": held_out.top5,
                "val_per_class": held_out.per_class,
                "autocorrelation": {
                    name: round(spatial_autocorrelation(part.weight).median().item(), 4)
                    for name, part in self.module.named_children()
                    if isinstance(part, nn.Conv2d)
                },
                "images_per_second": seen / (time.monotonic() - started),
                "seconds": time.monotonic() - started,
            }
        )
        self._save()
        if progress is not None:
            progress(EpochReport(epoch, recipe.epochs, "epochs", metrics=self.metrics[-1]))

    def _step(
        self, crops: Tensor, labels: Tensor, time_in_epochs: float, blend: np.random.Generator
    ) -> tuple[float, int]:
        """One update: the loss of a batch (uint8, N x H x W x 3), and how many photos were named rightly."""
        recipe = self.recipe
        mean = torch.from_numpy(self.preprocessing.mean)
        pixels = crops.permute(0, 3, 1, 2)[:, : self.channels]
        x = ((pixels - mean) / self.preprocessing.divisor).to(self.device, memory_format=torch.channels_last)
        y = labels.to(self.device)
        rate = self.schedule.rate(time_in_epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["multiple"]
        if recipe.mixup:
            share, partner = float(blend.beta(recipe.mixup, recipe.mixup)), blend.permutation(len(x))
            scores = self.module(x.mul(share).add_(x[partner], alpha=1 - share))
            loss = share * self.loss(scores, y) + (1 - share) * self.loss(scores, y[partner])
        else:
            scores = self.module(x)
            loss = self.loss(scores, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if recipe.filter_radius is not None:
            renormalize_filters(self.module, recipe.filter_radius)  # Sec. 3
        return loss.item(), int((scores.detach().argmax(1) == y).sum())

    def _work(self, epoch: int, done: float) -> float:
        """What remains, in epochs of the present stage's cost (cost grows with the number of pixels)."""
        here = self.stage.size**2
        later = sum(self.recipe.stage_of(e).size ** 2 for e in range(epoch + 1, self.recipe.epochs + 1))
        return 1 - done + later / here

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)

    def measure(self, count: int | None = None) -> Accuracy:
        """Accuracy on the held-out photos, or on ``count`` of them evenly spread, centre crop."""
        if count not in self._held_out:
            chosen = self.dataset.held_out
            if count is not None and count < len(chosen):
                chosen = chosen[np.linspace(0, len(chosen) - 1, count).round().astype(np.int64)]
            views = self.dataset.views(chosen, self.preprocessing)  # unreadable ones leave the held-out photos
            self._held_out[count] = chosen[np.isin(chosen, self.dataset.held_out)], views
        indices, views = self._held_out[count]
        return evaluate(self._plain(), self.preprocessing, views, self.dataset.labels[indices])

    def _plain(self) -> nn.Module:
        """The network as it is now, on the CPU in evaluation mode, without batch normalisation."""
        if not self.recipe.batch_norm:
            return self.module if self.device.type == "cpu" else _on_cpu(self.module)
        plain = build(self.recipe.network, **_options(self.recipe, self.dataset, self.stage))
        plain.load_state_dict(folded_state(self.module))
        return plain.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    # -- saving ------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Snapshot, then metrics, then the checkpoint: the checkpoint's epoch is the one that counts."""
        if self.epoch in self.recipe.snapshot_epochs:
            self.network({}).save(self.run.path / "snapshots" / f"epoch-{self.epoch:04d}.safetensors", half=True)
        _record(self.recipe, self.dataset, self.metrics, self.kept).write(self.run)
        state = {
            "epoch": self.epoch,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.schedule.state,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_bytes(self.run.path / CHECKPOINT, buffer.getvalue())

    @property
    def kept(self) -> list[str]:
        """The snapshots of the epochs that are done."""
        done = (epoch for epoch in self.recipe.snapshot_epochs if epoch <= self.epoch)
        return [f"snapshots/epoch-{epoch:04d}" for epoch in done]

    def restore(self, metrics: Sequence[EpochMetrics]) -> None:
        """Go back to the last whole epoch, of which ``metrics`` tell."""
        path = self.run.path / CHECKPOINT
        try:
            state = torch.load(path, weights_only=True, map_location=self.device)
            epoch = int(state["epoch"])
            stage = self.recipe.stage_of(epoch)
            if stage != self.stage:
                self._enter(stage)
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.state = state["plateau"]
        except (
            OSError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
            EOFError,
            OptionError,
            pickle.UnpicklingError,
        ) as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise RunError(f"{path} is damaged ({why}): remove the run and train anew.") from error
        self.epoch = epoch
        self.metrics = list(metrics[:epoch])

    def network(self, card: Mapping[str, Any]) -> Network:
        """The network as it is now."""
        return Network(
            self.recipe.network,
            _on_cpu(self._plain()),
            self.preprocessing,
            self.dataset.classes,
            _options(self.recipe, self.dataset, self.stage),
            card,
        )

    def result(self) -> tuple[Network, Accuracy]:
        """The trained network with its card, and its accuracy."""
        measured = self.measure()
        card = {
            **self.card,
            "recipe": self.recipe.record(),
            "training_photos": len(self.dataset.train),
            "held_out_photos": measured.count,
            "held_out_top1": measured.top1,
            "held_out_top5": measured.top5,
            "held_out_per_class": measured.per_class,
            "autocorrelation": self.metrics[-1].get("autocorrelation", {}) if self.metrics else {},
        }
        return self.network(card), measured


def _on_cpu(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).cpu().eval()
