"""The figure of the randomisation tests."""

from __future__ import annotations

import numpy as np
import pytest

from deconvnet.errors import OptionError
from deconvnet.experiments.sanity.figure import sanity_figure

STAGES = ("features.10.conv2_of_a_long_name +2", "conv2", "conv1")


def values(stages: int, level: float) -> np.ndarray:
    return np.full((stages, 3), level) - np.arange(3) / 20


def draw(rules: tuple[str, ...], channels: int = 3, other_photo: bool = True):
    rng = np.random.default_rng(0)
    means, beside, pictures = {}, {}, {}
    for number, rule in enumerate(rules):
        level = 0.9 - 0.2 * number
        means[rule] = {"cascade": values(3, level), "alone": values(3, level / 2), "other map": values(1, 0.3)}
        means[rule] |= {"other photo": values(1, 0.25)} if other_photo else {}
        means[rule] |= {"noise": values(1, 0.1)}
        beside[rule] = list(values(3, level))
        pictures[rule] = [rng.normal(size=(channels, 20, 24)) for _ in range(4)]
    photo = rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)
    return sanity_figure(photo, STAGES, means, beside, pictures, "A title", "What is averaged", "what was measured")


def test_pictures_curves_and_words():
    figure = draw(("deconvnet", "guided", "mine"))
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 1 + 3 * 4
    words = " ".join(text.get_text() for text in figure.texts)
    for part in ("A title", "What is averaged", "What was measured.", "Pale lines"):
        assert part in words.replace("\n", " ")
    beside = [text.get_text() for axes in images for text in axes.texts if "SSIM" in text.get_text()]
    assert len(beside) == 9
    assert beside[0] == "SSIM 0.90\nrank 0.85, |·| 0.80"
    panels = [axes for axes in figure.axes if not axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "SSIM",
        "rank correlation, signed",
        "rank correlation of magnitudes",
    ]
    cascade, alone, floor, single = panels[1].lines[:4]
    assert list(cascade.get_ydata()) == [1.0, 0.85, 0.85, 0.85]
    assert list(alone.get_ydata()) == [0.4, 0.4, 0.4]
    assert list(floor.get_ydata()) == [0.2, 0.2]
    assert np.allclose(single.get_ydata(), [0.25, 0.2, 0.05])
    ticks = [label.get_text() for label in panels[0].get_xticklabels()]
    assert ticks == ["none", "features…_name +2", "conv2", "conv1", "other map", "other photo", "noise"]
    colours = {line.get_color() for line in panels[0].lines}
    assert len(colours) == 4  # three rules and the bar


def test_one_photo_has_no_other_photo():
    figure = draw(("gradient",), channels=2, other_photo=False)
    panel = next(axes for axes in figure.axes if not axes.images)
    assert "other photo" not in [label.get_text() for label in panel.get_xticklabels()]
    assert list(panel.lines[2].get_ydata()) == [0.1, 0.1]  # the floor is noise then


def test_refusals():
    with pytest.raises(OptionError, match="there is nothing to draw"):
        draw(())
    photo = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(OptionError, match="gradient has 1 pictures for 3 stages"):
        sanity_figure(photo, STAGES, {}, {}, {"gradient": [np.zeros((3, 4, 4))]}, "", "", "")
