"""At what scale the paper is reproduced: recipes and numbers of photos, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deconvnet.errors import UnknownNameError
from deconvnet.training import RECIPES, Recipe, Stage

_PAPER, _CALTECH = RECIPES["paper"], RECIPES["caltech101"]


@dataclass(frozen=True)
class Scale:
    """Everything in which the scales differ.

    Attributes
    ----------
    name, about : str
    trains : bool
        Whether its networks learn anything: otherwise no claim about trained networks is judged.
    recipe : Recipe or None
        Trains ZFNet and AlexNet; None takes the weights in the package.
    zfnets : int
        How many ZFNets, of different seeds, are averaged; 1 averages AlexNet and ZFNet.
    half : Recipe
        Trains a ZFNet on every second class: for transfer to the others, and for Figure 4 where ``recipe`` is None.
    ten_crops : bool
        Of model averaging.
    evolution_photos : int or None
        Training photos searched for Figure 4, drawn at random; None: all.
    diagnosed, probed : int
        Photos of the diagnosis.
    drawn : int
        Maps of each layer drawn in Figure 2.
    moved, covered : int
        Held-out photos of Figures 5 and 7.
    curves : (int, int)
        Steps and seeds of deletion and insertion.
    occlusion_stride : int or None
        In pixels; None: 8 of 224.
    regions, permutations : int
        Of correspondence.
    ablation : Recipe
    ablation_seeds : int
    variants : tuple of str or None
        Of Table 3; None: all.
    ablation_classes, ablation_photos : int or None
        So many classes, evenly taken, and photos of each at most; None: all.
    per_class : tuple of int
        Training photos of a class in transfer.
    folds, scratch_folds : int
    transfer_classes : int or None
        Of the other half; None: all.
    scratch : Recipe
        Trains from scratch on the transfer photos.
    """

    name: str
    about: str
    trains: bool
    recipe: Recipe | None
    zfnets: int
    half: Recipe
    ten_crops: bool
    evolution_photos: int | None
    diagnosed: int
    probed: int
    drawn: int
    moved: int
    covered: int
    curves: tuple[int, int]
    occlusion_stride: int | None
    regions: int
    permutations: int
    ablation: Recipe
    ablation_seeds: int
    variants: tuple[str, ...] | None
    ablation_classes: int | None
    ablation_photos: int | None
    per_class: tuple[int, ...]
    folds: int
    scratch_folds: int
    transfer_classes: int | None
    scratch: Recipe


_TINY = replace(
    _CALTECH, stages=(Stage(64, 2, 0.1),), options={"fc_width": 16}, batch_size=8, balance=None, held_out=0.25
)
_SMALL = replace(_CALTECH, stages=(Stage(64, 16, 0.2),))

SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            about="Shows that everything runs: networks trained for seconds at 64 px, which have learned nothing.",
            trains=False,
            recipe=_TINY,
            zfnets=1,
            half=_TINY,
            ten_crops=False,
            evolution_photos=None,
            diagnosed=8,
            probed=2,
            drawn=2,
            moved=2,
            covered=1,
            curves=(4, 1),
            occlusion_stride=16,
            regions=2,
            permutations=99,
            ablation=_TINY.changed(epochs=1),
            ablation_seeds=1,
            variants=("base", "remove-3-4-6-7"),
            ablation_classes=2,
            ablation_photos=8,
            per_class=(2, 4),
            folds=2,
            scratch_folds=1,
            transfer_classes=None,
            scratch=_TINY.changed(epochs=1),
        ),
        Scale(
            name="laptop",
            about="The weights in the package where they serve, small trainings at 64 px where nothing else does.",
            trains=True,
            recipe=None,
            zfnets=1,
            half=_SMALL,
            ten_crops=False,
            evolution_photos=None,
            diagnosed=300,
            probed=48,
            drawn=16,
            moved=20,
            covered=16,
            curves=(16, 3),
            occlusion_stride=None,
            regions=10,
            permutations=9999,
            ablation=replace(_SMALL, balance=None, held_out=0.5).changed(epochs=12),
            ablation_seeds=2,
            variants=("base", "remove-3-4", "remove-7", "remove-6-7", "remove-3-4-6-7", "wide"),
            ablation_classes=20,
            ablation_photos=40,
            per_class=(5, 15, 30),
            folds=3,
            scratch_folds=1,
            transfer_classes=20,
            scratch=replace(_SMALL, balance=None),
        ),
        Scale(
            name="full",
            about="The paper's settings (Sec. 3): 224 px, 70 epochs, all photos, five networks, five folds.",
            trains=True,
            recipe=_PAPER,
            zfnets=5,
            half=_PAPER,
            ten_crops=True,
            evolution_photos=None,
            diagnosed=1000,
            probed=100,
            drawn=16,
            moved=100,
            covered=100,
            curves=(32, 5),
            occlusion_stride=None,
            regions=10,
            permutations=9999,
            ablation=_PAPER,
            ablation_seeds=3,
            variants=None,
            ablation_classes=None,
            ablation_photos=None,
            per_class=(15, 30),
            folds=5,
            scratch_folds=5,
            transfer_classes=None,
            scratch=_PAPER,
        ),
    )
}


def scale_named(name: str) -> Scale:
    """A scale by name.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    try:
        return SCALES[name]
    except KeyError:
        raise UnknownNameError("scale", name, SCALES) from None
