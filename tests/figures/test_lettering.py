"""Words that fit: their widths against a drawn text, wrapping, and names that stay different."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deconvnet.figures.axes import Page
from deconvnet.figures.canvas import DPI, new_figure
from deconvnet.figures.lettering import lay_names, names_that_fit, shortened, width_of, wrapped

LONG = "features.denseblock4.denselayer16.conv2.with_an_unusually_long_name"


def drawn_width(words: str, size: float, bold: bool) -> float:
    text = new_figure(9, 1).text(0, 0, words, fontsize=size, fontweight="bold" if bold else "normal", parse_math=False)
    return text.get_window_extent().width / DPI


@pytest.mark.parametrize(("size", "bold"), [(7.5, False), (12, True)])
def test_widths_are_those_of_drawn_words(size: float, bold: bool) -> None:
    for words in ("conv1", LONG, "Mid-grey is zero; 50 %"):
        assert width_of(words, size, bold) == pytest.approx(drawn_width(words, size, bold), abs=0.03)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "of", "photo", LONG, "zero;"]), min_size=1, max_size=20))
def test_wrapping_loses_nothing_and_fits(words: list[str]) -> None:
    lines = wrapped(" ".join(words), 1.5)
    assert "".join(lines).replace(" ", "") == "".join(words)
    assert max(width_of(line, 7.5) for line in lines) <= 1.5


def test_long_names_stay_different() -> None:
    names = [f"/folder/of/trainings/zfnet-seed-{i}/network.safetensors" for i in range(12)]
    found = names_that_fit([*names, "mean", names[0]], 1.2)
    assert len(set(found)) == 13
    assert found[0] == found[-1]
    assert found[3].startswith("…3")
    assert max(width_of(name, 7.5) for name in found) <= 1.2
    assert names_that_fit(["conv1", "conv2"], 1.2) == ["conv1", "conv2"]
    assert shortened(LONG, 1.2).startswith("feat")
    assert shortened(LONG, 1.2).endswith("name")


def test_names_below_an_axis() -> None:
    assert lay_names(["conv1", "conv2"], 3).angle == 0
    many = lay_names([f"{LONG}.{i}" for i in range(40)], 3)
    assert many.shown == [0, 10, 20, 29, 39]
    assert many.angle > 0
    assert len(set(many.words)) == 5


@pytest.mark.parametrize("title", ["short", f"{LONG} " * 6])
def test_title_panels_and_notes_do_not_meet(title: str) -> None:
    page = Page(4, 2, title, subtitle=title, notes=["What must be known. " * 12, "And more."])
    panel = page.axes(0.5, 0, 3, 2).get_window_extent()
    page.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in page.figure.texts]
    head, below, notes = boxes
    assert head.y0 > below.y1 - 1
    assert below.y0 > panel.y1
    assert panel.y0 > notes.y1
    assert notes.y0 > 0
    assert max(box.x1 for box in boxes) <= 4 * DPI
    assert page.figure.texts[2].get_text().replace("\n", " ").endswith("known. And more.")
