"""Training recipes: everything that decides a training run, as data.

``paper`` is Zeiler & Fergus's (Sec. 3), ``practical`` is today's common way to train the same networks, ``caltech101``
is the one that made the weights in the package, and two recipes train LeNet-5 on MNIST.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from deconvnet.errors import OptionError, UnknownNameError


@dataclass(frozen=True)
class Stage:
    """Some epochs at one input size.

    Attributes
    ----------
    size : int
        Side of the square input, in pixels.
    epochs : int
        Number of passes over the training photos.
    dropout : float or None
        Probability in the fully connected layers; ``None`` leaves the network's own.
    """

    size: int
    epochs: int
    dropout: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """What training does to a photo before the network sees it.

    Attributes
    ----------
    crop : {"resized", "random", "ten", "centre"}
        A random part of the photo brought to the input size; a random square of the resized photo (AlexNet); one of
        the paper's ten crops, in turn by chance (ZFNet, Sec. 3); the centre.
    area : float
        Least share of the photo's area in a ``"resized"`` crop, 0 to 1.
    flip : bool
        Mirror half of the photos (``"ten"`` mirrors anyway).
    brightness, tint : float
        Half widths of the factors that all channels, and each channel, are multiplied by (0.2: 0.8 to 1.2).
    pca : float
        Standard deviation of AlexNet's shift along the principal colours (Sec. 4.1: 0.1); 0 for none.
    """

    crop: Literal["resized", "random", "ten", "centre"] = "resized"
    area: float = 0.5
    flip: bool = True
    brightness: float = 0.0
    tint: float = 0.0
    pca: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """A training recipe.

    Attributes
    ----------
    name, about : str
        Name, and one line on what it is for.
    network : str
        The network that it trains unless another is asked for.
    options : dict
        Options of the network (number of classes and input size come from the data and the stages).
    stages : tuple of Stage
        Input sizes and epochs, in order. Between two sizes fc6 is resampled to the new map.
    batch_size : int
        Photos a step.
    optimizer : {"sgd", "adamw"}
        Stochastic gradient descent with momentum, or AdamW.
    learning_rate, momentum, weight_decay : float
        Peak rate; momentum (AdamW: beta1); decay of weights, not of biases.
    nesterov : bool
        Nesterov's form of the momentum (SGD only).
    batch_norm : bool
        Train with batch normalisation after every layer but the last; it is folded into the weights, so that the
        network that is measured and written is the plain one.
    first_layer_rate : float
        The first layer's learning rate as a multiple.
    schedule : {"cosine", "plateau"}
        Fall to zero along a cosine, or divide by ten, three times at most, when the held-out loss has not fallen
        for more than ``patience`` epochs.
    warmup : float
        Epochs of linear rise from zero.
    patience : int
        See ``schedule``.
    initialization : {"he", "paper", "smooth", "own"}
        He's; N(0, 0.01) with zero biases (Sec. 3); spatially smooth noise, calibrated on a batch; the network's own.
    first_layer_start : float
        Multiplies the first layer's initial weights. With batch normalisation a small start answers alike and is
        forgotten sooner.
    filter_radius : float or None
        Convolution filters whose RMS exceeds it are renormalised to it after every step (Sec. 3: 0.1).
    mean : {"channel", "pixel"}
        What is subtracted: one number a channel, or the paper's per-pixel mean.
    scale : float
        Divides the inputs; 1 leaves them in the paper's range of about -128 to 128.
    resize : float
        Shortest side over input size at evaluation (the papers: 256/224).
    augmentation : Augmentation
        What training does to a photo.
    balance : (int, int) or None
        Each epoch shows each class so many photos at least and at most (repeated or drawn at random); ``None`` shows
        every photo once.
    label_smoothing : float
        Share of the target spread over all classes.
    mixup : float
        Photos are blended in pairs, with shares drawn from Beta(mixup, mixup) (Zhang et al. 2018); 0 for none.
    loss : {"cross-entropy", "map"}
        Softmax cross entropy, or LeNet-5's criterion (1998, Eq. 9).
    held_out : float
        Share of each class that is held out, where the data has no split of its own.
    watched : int or None
        Held-out photos, evenly spread, that are measured after each epoch (the last measurement takes all);
        ``None`` takes all.
    snapshots : tuple of float
        Epochs whose weights are kept, in 64ths of the run (Fig. 4's epochs 1, 2, 5, 10, 20, 30, 40, 64).
    seed : int
        Decides split, initial weights, order, crops and dropout.
    """

    name: str
    about: str
    network: str
    stages: tuple[Stage, ...]
    options: dict[str, Any]
    batch_size: int = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False
    batch_norm: bool = False
    first_layer_rate: float = 1.0
    schedule: Literal["cosine", "plateau"] = "cosine"
    warmup: float = 0.0
    patience: int = 5
    initialization: Literal["he", "paper", "smooth", "own"] = "he"
    first_layer_start: float = 1.0
    filter_radius: float | None = None
    mean: Literal["channel", "pixel"] = "channel"
    scale: float = 1.0
    resize: float = 256 / 224
    augmentation: Augmentation = Augmentation()
    balance: tuple[int, int] | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    loss: Literal["cross-entropy", "map"] = "cross-entropy"
    held_out: float = 0.2
    watched: int | None = None
    snapshots: tuple[float, ...] = (1, 2, 5, 10, 20, 30, 40, 64)
    seed: int = 0

    @property
    def epochs(self) -> int:
        """Number of epochs over all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def snapshot_epochs(self) -> tuple[int, ...]:
        """Epochs whose weights are kept, counted from 1, without repetition."""
        return tuple(sorted({max(1, round(s / 64 * self.epochs)) for s in self.snapshots}))

    def stage_of(self, epoch: int) -> Stage:
        """The stage of an epoch, counted from 1."""
        for stage in self.stages:
            if epoch <= stage.epochs:
                return stage
            epoch -= stage.epochs
        raise OptionError(f"{self.name} has {self.epochs} epochs.")

    def record(self) -> dict[str, Any]:
        """The recipe as JSON can hold it."""
        return asdict(self)

    def changed(
        self,
        *,
        network: str | None = None,
        epochs: int | None = None,
        size: int | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> Recipe:
        """The same recipe with another network, length or size.

        Parameters
        ----------
        network : str, optional
            Another network.
        epochs : int, optional
            Total number of epochs, shared among the stages in the recipe's proportion.
        size : int, optional
            One input size for all epochs, with the last stage's dropout.
        batch_size, seed : int, optional
            Other values.
        options : dict, optional
            Further options of the network.

        Raises
        ------
        OptionError
            If a number is not positive, or the seed is negative.
        """
        if seed is not None and seed < 0:
            raise OptionError(f"seed must be 0 or more, not {seed}.")
        for option, value in (("epochs", epochs), ("size", size), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise OptionError(f"{option} must be at least 1, not {value}.")
        recipe = self
        if size is not None:
            recipe = replace(recipe, stages=(replace(recipe.stages[-1], size=size, epochs=recipe.epochs),))
        if epochs is not None:
            recipe = replace(recipe, stages=_shared(recipe.stages, epochs))
        return replace(
            recipe,
            network=network or recipe.network,
            batch_size=batch_size or recipe.batch_size,
            seed=recipe.seed if seed is None else seed,
            options={**recipe.options, **(options or {})},
        )


def _shared(stages: tuple[Stage, ...], epochs: int) -> tuple[Stage, ...]:
    """Stages of the same proportion with ``epochs`` in all; stages left without an epoch fall out."""
    total, done, given = sum(s.epochs for s in stages), 0, 0
    out: list[Stage] = []
    for stage in stages:
        done += stage.epochs
        share = round(done / total * epochs) - given
        given += share
        if share:
            out.append(replace(stage, epochs=share))
    return tuple(out)


_CALTECH = Recipe(
    name="caltech101",
    about="the weights in the package: smooth start, small photos first, classes evened out, AdamW",
    network="zfnet",
    options={"fc_width": 1024},
    stages=(Stage(64, 18, 0.1), Stage(96, 12, 0.2), Stage(128, 16, 0.4)),
    batch_size=32,
    optimizer="adamw",
    learning_rate=8e-4,
    weight_decay=0.2,
    first_layer_rate=2.0,
    warmup=0.5,
    initialization="smooth",
    scale=58.0,
    resize=144 / 128,
    augmentation=Augmentation(area=0.5, brightness=0.2, tint=0.05),
    balance=(40, 80),
    label_smoothing=0.1,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="paper",
            about="Zeiler & Fergus, Sec. 3: SGD, 70 epochs, ten crops, N(0, 0.01), filters renormalised at RMS 0.1",
            network="zfnet",
            options={},
            stages=(Stage(224, 70),),
            initialization="paper",
            filter_radius=0.1,
            schedule="plateau",
            mean="pixel",
            augmentation=Augmentation(crop="ten", flip=False),
        ),
        Recipe(
            name="practical",
            about="the same networks as one trains them today: He's start, warm-up and cosine, decay, smoothing, crops",
            network="zfnet",
            options={"fc_width": 1024},
            stages=(Stage(128, 60),),
            batch_size=64,
            learning_rate=0.02,
            weight_decay=5e-4,
            warmup=1.0,
            scale=58.0,
            resize=144 / 128,
            augmentation=Augmentation(area=0.5, brightness=0.2, tint=0.05),
            label_smoothing=0.1,
        ),
        _CALTECH,
        replace(
            _CALTECH,
            name="caltech101-finish",
            about="goes on from trained weights (--start): classes alike, stronger crops and colours, blends",
            stages=(Stage(128, 12, 0.5),),
            learning_rate=3e-4,
            warmup=0.3,
            augmentation=Augmentation(area=0.35, brightness=0.3, tint=0.1),
            balance=(60, 60),
            mixup=0.2,
        ),
        Recipe(
            name="tiny-imagenet",
            about="photos of 64 px in 200 classes: batch normalisation while it trains; an epoch shows a fifth of them",
            network="zfnet",
            options={"fc_width": 1024},
            stages=(Stage(64, 11, 0.0), Stage(80, 2, 0.0)),
            batch_size=64,
            learning_rate=0.05,
            weight_decay=5e-4,
            nesterov=True,
            batch_norm=True,
            first_layer_start=0.2,
            warmup=1.0,
            scale=58.0,
            resize=1.0,
            augmentation=Augmentation(area=0.5),
            balance=(100, 100),
            watched=2000,
        ),
        Recipe(
            name="lenet5",
            about="LeNet-5 in its modern form on MNIST, in about two minutes",
            network="lenet5",
            options={},
            stages=(Stage(32, 8),),
            batch_size=64,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=0.01,
            warmup=0.2,
            initialization="own",
            augmentation=Augmentation(crop="centre", flip=False),
        ),
        Recipe(
            name="lenet5-1998",
            about="LeNet-5 as published, with its criterion (Eq. 9), on MNIST, by AdamW (not the paper's LM)",
            network="lenet5-1998",
            options={},
            stages=(Stage(32, 12),),
            batch_size=64,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=0.0,
            warmup=0.2,
            initialization="own",
            loss="map",
            augmentation=Augmentation(crop="centre", flip=False),
        ),
    )
}


def recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise UnknownNameError("recipe", name, RECIPES) from None
