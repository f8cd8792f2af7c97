"""Draw the README's pictures from scikit-image's sample photos: ``python examples/readme_pictures.py``."""

from pathlib import Path

import deconvnet
from deconvnet.experiments.occlusion import occlude
from deconvnet.figures import filters_picture, save_figure
from deconvnet.photo_projections.project import prepare

OUT = Path("docs/images")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    network = deconvnet.load("zfnet")
    save_figure(filters_picture(network.module.conv1.weight.detach().numpy()), OUT / "filters.png")
    samples = {sample.name: sample for sample in deconvnet.sample_photos()}
    for name in ("chelsea",):
        photo = samples[name].pixels
        prepared = prepare(network, photo, ["conv2", "conv3", "conv5"])
        shown = prepared.project([unit for layer in prepared.layers for unit in prepared.strongest(layer, 2)])
        save_figure(shown.plot(title=f"{name}, {samples[name].source}"), OUT / f"{name}.png")
    covered = occlude(network, [("coffee", samples["coffee"].pixels)], fills=["mean", "blur"])
    save_figure(covered.plot(), OUT / "occlusion.png")


if __name__ == "__main__":
    main()
