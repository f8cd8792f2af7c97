"""Put a trained network into the package: half-precision weights, measured as they ship, and a card to read.

``python tools/ship_weights.py RUN --data FOLDER_OR_ZIP --name zfnet-caltech101 --title ZFNet --command "..."``

The accuracy on the card is that of the file as it ships: weights rounded to float16, the held-out photos of the run's
split, centre crop and ten crops. For convolutional layers the card states the filters' spatial autocorrelation, at the
start and at the end, how much of the start is left in them (median cosine between a filter and its start), and how many
maps are dead: no held-out photo brings them above zero anywhere.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deconvnet.cli.train import open_dataset
from deconvnet.networks import build, load
from deconvnet.networks.network import Network
from deconvnet.runs import Run
from deconvnet.runs.files import write_text
from deconvnet.training import initialize, spatial_autocorrelation
from deconvnet.training.dataset import Dataset
from deconvnet.training.evaluation import Accuracy, accuracy, scores
from deconvnet.training.recipes import RECIPES, Recipe
from deconvnet.training.record import TrainingRecord

DATA = {
    "caltech": (
        "Caltech-101 without its background class: 8,677 photos in 101 classes",
        "Li, Andreetto, Ranzato and Perona (2022), Caltech 101, CaltechDATA, CC BY 4.0",
        ["BACKGROUND_Google"],
    ),
    "tiny-imagenet": (
        "Tiny-ImageNet: 100,000 photos of 64 x 64 px in 200 of ImageNet's classes, 10,000 to validate on",
        "Stanford CS231n; the photos are ImageNet's (Deng et al. 2009), on ImageNet's terms: for research and teaching "
        "that earn nothing",
        [],
    ),
    "mnist": (
        "MNIST: 60,000 digits to train on, 10,000 to test on",
        "LeCun, Cortes and Burges, the MNIST database of handwritten digits, CC BY-SA 3.0",
        [],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=sorted(DATA), default="caltech")
    parser.add_argument("--name", required=True, help="file name without ending")
    parser.add_argument("--title", required=True)
    parser.add_argument("--command", required=True, help="the command that trained it")
    parser.add_argument("--note", default="", help="a sentence for the card")
    parser.add_argument("--machine", default="one core of a shared two-core machine", help="what it was trained on")
    asked = parser.parse_args()

    run = Run.open(asked.run, "train")
    trained = load(str(asked.run / "network.safetensors"))
    plan: Recipe = RECIPES[trained.card["recipe"]["name"]].changed(
        network=trained.name, seed=trained.card["recipe"]["seed"]
    )
    data, attribution, exclude = DATA[asked.kind]
    dataset, _ = open_dataset(trained.name, plan.held_out, plan.seed, asked.data, exclude)
    record = TrainingRecord.read(run)
    if dataset.names(dataset.held_out) != list(record.held_out):
        raise SystemExit("the split of the data is not the run's")

    weights = Path("src/deconvnet/weights") / f"{asked.name}.safetensors"
    trained.save(weights, half=True)
    shipped = load(str(weights))
    centre = measure(shipped, dataset, ten_crops=False)
    ten = measure(shipped, dataset, ten_crops=True) if asked.kind == "caltech" else None
    dead = dead_maps(shipped, dataset) if asked.kind != "mnist" else {}

    accuracy_text = (
        f"top-1 {centre.top1:.2%}, top-5 {centre.top5:.2%}, mean over classes {centre.per_class:.2%} "
        f"on {centre.count:,} held-out {'digits' if asked.kind == 'mnist' else 'photos'}"
    )
    metrics = record.metrics
    card = {
        **trained.card,
        "title": asked.title,
        "data": data,
        "attribution": attribution,
        "split": f"by class, {plan.held_out:.0%} held out, seed {plan.seed}"
        if asked.kind == "caltech"
        else "the data's own",
        "command": asked.command,
        "accuracy": accuracy_text,
        "held_out_top1": centre.top1,
        "held_out_top5": centre.top5,
        "held_out_per_class": centre.per_class,
        "ten_crops": {"top1": ten.top1, "top5": ten.top5, "per_class": ten.per_class} if ten else None,
        "filters": filters(shipped, plan, dataset),
        "dead_maps": dead,
        "machine": asked.machine,
        "date": date.today().isoformat(),
        "training_seconds": sum(m["seconds"] for m in metrics),
        "epochs": len(metrics),
        "weights": "trained by this project; float16",
        "licence": "for research only, as the photos' terms say"
        if asked.kind == "tiny-imagenet"
        else "MIT (the weights); the data's own terms as stated under attribution",
        "note": asked.note,
    }
    final = replace(shipped, card=card)
    final.save(weights, half=True)
    write_text(weights.with_suffix(".md"), page(final, asked.title, card))
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB; {accuracy_text}")
    print(card["filters"])
    print(card["dead_maps"])


def measure(network: Network, dataset: Dataset, ten_crops: bool) -> Accuracy:
    """Accuracy on the held-out photos, as `deconvnet evaluate` measures it."""
    values, kept = scores(network, dataset, dataset.held_out, ten_crops=ten_crops)
    return accuracy(values, dataset.labels[kept])


def filters(network: Network, plan: Recipe, dataset: Dataset) -> dict[str, dict[str, float]]:
    """For each convolution: autocorrelation at the start and at the end, and what is left of the start."""
    torch.manual_seed(plan.seed)
    options = {**network.options}
    if "input_size" in options:
        options["input_size"] = plan.stages[0].size
    start = build(network.name, **options)
    if plan.initialization == "smooth":
        small = replace(
            network.preprocessing,
            input_size=plan.stages[0].size,
            resize=round(plan.stages[0].size * plan.resize),
        )
        train = dataset.train
        chosen = train[np.linspace(0, len(train) - 1, min(128, len(train))).round().astype(np.int64)]
        initialize(start, plan.initialization, small.tensor(dataset.views(chosen, small)))
    else:
        initialize(start, plan.initialization, torch.zeros(1, *network.input_shape))
    out: dict[str, dict[str, float]] = {}
    for name, part in network.module.named_children():
        if isinstance(part, nn.Conv2d):
            before = start.get_submodule(name).weight.detach()
            assert isinstance(before, torch.Tensor)
            kept = F.cosine_similarity(part.weight.flatten(1), before.flatten(1)).median().item()
            out[name] = {
                "start": round(spatial_autocorrelation(before).median().item(), 3),
                "end": round(spatial_autocorrelation(part.weight).median().item(), 3),
                "cosine_to_start": round(kept, 3),
            }
    return out


@torch.inference_mode()
def dead_maps(network: Network, dataset: Dataset) -> dict[str, list[int]]:
    """For each convolution: how many of its maps no held-out photo brings above zero anywhere, and all its maps."""
    highest: dict[str, torch.Tensor] = {}

    def watch(name: str, values: torch.Tensor) -> None:
        here = values.amax((0, 2, 3))
        highest[name] = torch.maximum(highest[name], here) if name in highest else here

    hooks = [
        part.register_forward_hook(lambda module, given, values, name=name: watch(name, values))
        for name, part in network.module.named_children()
        if isinstance(part, nn.Conv2d)
    ]
    try:
        for first in range(0, len(dataset.held_out), 64):
            network.module(
                network.preprocessing.tensor(
                    dataset.views(dataset.held_out[first : first + 64], network.preprocessing)
                ).contiguous(memory_format=torch.channels_last)
            )
    finally:
        for hook in hooks:
            hook.remove()
    return {name: [int((values <= 0).sum()), len(values)] for name, values in highest.items()}


def page(network: Network, title: str, card: dict) -> str:  # type: ignore[type-arg]
    """The card as Markdown."""
    lines = [
        f"# {title}",
        "",
        f"`deconvnet.load({network.name!r})`: {network.parameters:,} parameters, input "
        f"{network.input_shape[1]} x {network.input_shape[2]} px, {len(network.classes)} classes, options "
        f"`{dict(network.options)}`.",
        "",
        f"- **Data**: {card['data']}. {card['attribution']}. The photos are not part of this package.",
        f"- **Split**: {card['split']}: {card['training_photos']:,} to train on, {card['held_out_photos']:,} held out.",
        f"- **Accuracy** (held out, centre crop, the weights as they ship): {card['accuracy']}.",
    ]
    if card["ten_crops"]:
        t = card["ten_crops"]
        lines.append(
            f"- **Ten crops**: top-1 {t['top1']:.2%}, top-5 {t['top5']:.2%}, mean over classes {t['per_class']:.2%}."
        )
    lines += [
        f"- **Recipe**: `{card['recipe']['name']}` ({card['epochs']} epochs, seed {card['recipe']['seed']}), "
        f"{card['training_seconds'] / 60:.0f} minutes on {card['machine']}, {card['date']}.",
        f"- **Command**: `{card['command']}`",
        f"- **Licence**: {card['licence']}.",
    ]
    if card["note"]:
        lines.append(f"- **Note**: {card['note']}")
    if card["filters"]:
        lines += [
            "",
            "Filters: median lag-1 spatial autocorrelation at the start of training and at its end, and what is left",
            "of the start (median cosine between a filter and its start).",
            "",
            "| layer | start | end | cosine to the start |",
            "|---|---|---|---|",
            *(
                f"| {name} | {v['start']:.2f} | {v['end']:.2f} | {v['cosine_to_start']:.2f} |"
                for name, v in card["filters"].items()
            ),
        ]
    if card["dead_maps"]:
        listed = ", ".join(f"{name} {dead} of {maps}" for name, (dead, maps) in card["dead_maps"].items())
        lines += ["", f"Dead maps (no held-out photo brings them above zero): {listed}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
