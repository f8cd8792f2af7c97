"""The figures: what they hold, that no text meets another, and that they leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from deconvnet.errors import OptionError, RunError
from deconvnet.experiments.top_nine.figure import TopBlock, top_block_image, top_grid
from deconvnet.figures import ProjectionRow, filters_picture, projection_panel, save_figure
from deconvnet.figures.palette import MARK
from deconvnet.geometry import Box
from deconvnet.runs import Unit
from deconvnet.training.figure import training_curve

PHOTO = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
INSIDE = Box(10, 20, 30, 40)


def row(address: str, box: Box = INSIDE, activation: float = 3.25, scale: float = 0.5) -> ProjectionRow:
    projection = np.zeros((3, box.height, box.width))
    projection[0, 0, 0] = scale
    return ProjectionRow(
        Unit.parse(address), activation, box, projection, np.zeros((box.height, box.width, 3), np.uint8)
    )


def block(title: str, side: int = 27, count: int = 9) -> TopBlock:
    rng = np.random.default_rng(1)
    return TopBlock(
        title,
        [rng.normal(size=(3, side, side)) for _ in range(count)],
        [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)],
    )


def words(figure: Figure) -> list[str]:
    axes = figure.axes
    return [text.get_text() for panel in axes for text in panel.texts if text.get_text()]


def collisions(figure: Figure) -> list[tuple[str, str]]:
    """Texts that overlap another text or a picture, or leave the figure."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    places = [(t.get_text(), t.get_window_extent()) for panel in figure.axes for t in panel.texts if t.get_text()]
    found = [
        (a, b)
        for number, (a, one) in enumerate(places)
        for b, other in places[:number]
        if one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1
    ]
    pictures = [image.get_window_extent() for panel in figure.axes for image in panel.images]
    found += [(a, "picture") for a, box in places if any(box.overlaps(picture) for picture in pictures)]
    width, height = figure.canvas.get_width_height()
    found += [(a, "edge") for a, box in places if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    return found


LONG = "features.denseblock4.denselayer16.conv2.with_an_unusually_long_name:1023@103,104"


@pytest.mark.parametrize("count", [1, 3, 6, 9])
@pytest.mark.parametrize("layers", [["conv1"], ["conv1", "conv5"]])
def test_panel_shows_every_unit_and_no_text_meets_another(count: int, layers: list[str]) -> None:
    rows = [row(f"{layer}:{number}@3,4", Box(-10, 20, 30, 70)) for layer in layers for number in range(count)]
    figure = projection_panel(PHOTO, [*rows, row(LONG, activation=1234567.0)], "A photo with a long name " * 8)
    shown = words(figure)
    assert all(str(one.unit) in shown for one in rows)
    assert shown.count("activation 3.25 · scale ±0.5") == count * len(layers)
    assert collisions(figure) == []
    assert len(figure.axes[0].images) == 3 * (len(rows) + 1)


def test_panel_marks_the_receptive_field_also_where_it_leaves_the_photo() -> None:
    box = Box(-16, 32, 16, 96)
    axes = projection_panel(PHOTO, [row("conv5:1@0,4", box)]).axes[0]
    left, right, bottom, top = axes.images[0].get_extent()
    unit = (right - left) / 64
    from matplotlib.colors import to_hex
    from matplotlib.patches import Rectangle

    marks = [p for p in axes.patches if isinstance(p, Rectangle) and to_hex(p.get_edgecolor()) == MARK]
    assert len(marks) == 1
    place = [marks[0].get_x() - left, marks[0].get_y() - top, marks[0].get_width(), marks[0].get_height()]
    assert np.allclose(np.array(place) / unit, [32, -16, 64, 32])
    assert bottom - top == pytest.approx(right - left)


def test_panel_says_when_nothing_is_projected() -> None:
    shown = " ".join(
        words(projection_panel(PHOTO, [row("conv5:1", activation=-1.0, scale=0.0), row("conv5:2", scale=0.0)]))
    )
    assert "not active, projects to nothing" in shown
    assert "nothing comes back" in shown


def test_panel_refuses_nothing_and_a_wrong_photo() -> None:
    with pytest.raises(OptionError, match="no unit to draw"):
        projection_panel(PHOTO, [])
    with pytest.raises(OptionError, match="expected uint8"):
        projection_panel(PHOTO / 255, [row("conv5:1")])


def test_top_block_puts_projections_left_and_patches_right() -> None:
    projections = [np.full((3, 48, 48), 1.0) for _ in range(9)]
    patches = [np.full((48, 48, 3), 10 * number, np.uint8) for number in range(9)]
    picture = top_block_image(TopBlock("conv2:0", projections, patches))
    height, width = picture.shape[:2]
    assert height == 3 * 96 + 2 * 2  # enlarged twice, gaps of 2
    assert width == 2 * height + 6
    assert (picture[:96, :96] == 255).all()
    right = picture[:, height + 6 :]
    assert [int(right[50 + 98 * (n // 3), 50 + 98 * (n % 3), 0]) for n in range(9)] == [10 * n for n in range(9)]


def test_top_block_with_fewer_than_nine_keeps_its_size() -> None:
    assert top_block_image(block("a", 139, 4)).shape == top_block_image(block("a", 139)).shape


def test_top_block_refuses_projections_without_patches() -> None:
    with pytest.raises(OptionError, match="9 projections and 8 patches"):
        top_block_image(TopBlock("conv2:0", block("a").projections, block("a").patches[:8]))
    with pytest.raises(OptionError, match="no projections"):
        top_block_image(TopBlock("conv2:0", [], []))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_top_grid_titles_each_block(count: int) -> None:
    figure = top_grid([block(f"conv2:{n}") for n in range(count)], "conv2: a title " * 20)
    assert [f"conv2:{n}" in words(figure) for n in range(count)] == [True] * count
    assert len(figure.axes) == 1
    assert len(figure.axes[0].images) == count
    assert collisions(figure) == []
    with pytest.raises(OptionError):
        top_grid([])


def test_filters_picture() -> None:
    figure = filters_picture(np.random.default_rng(0).normal(size=(96, 3, 7, 7)))
    assert "96 first-layer filters, 7 × 7" in words(figure)
    assert collisions(figure) == []


def test_training_curve_draws_what_was_measured() -> None:
    metrics = [
        {
            "epoch": n,
            "train_loss": 4.0 / n,
            "val_loss": 5.0 / n if n > 1 else None,
            "val_top1": 0.1 * n,
            "learning_rate": 0.1,
        }
        for n in range(1, 5)
    ]
    loss, accuracy, rate = training_curve(metrics, "zfnet").axes
    assert [line.get_label() for line in loss.lines] == ["training", "held-out photos"]
    assert np.allclose(loss.lines[1].get_ydata(), [np.nan, 2.5, 5 / 3, 1.25], equal_nan=True)
    assert [line.get_label() for line in accuracy.lines] == ["held-out photos, top-1"]
    assert np.allclose(accuracy.lines[0].get_ydata(), [10, 20, 30, 40])
    assert len(rate.lines) == 1


def test_training_curve_refuses_empty_metrics() -> None:
    with pytest.raises(OptionError, match="no metrics"):
        training_curve([])
    with pytest.raises(OptionError, match="epoch"):
        training_curve([{"train_loss": 1.0}])


def test_saved_whole_in_the_format_of_the_ending(tmp_path: Path) -> None:
    figure = filters_picture(np.ones((6, 1, 5, 5)))
    target = save_figure(figure, tmp_path / "new" / "filters.png")
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.size == figure.canvas.get_width_height()
    with pytest.raises(OptionError, match="its ending must be one of"):
        save_figure(figure, tmp_path / "filters.docx")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError):
        save_figure(figure, tmp_path / "file" / "filters.png")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "filters.png", "new"]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_neither_pyplot_nor_torch_is_loaded_and_matplotlib_only_to_draw() -> None:
    code = """
import sys, numpy
import deconvnet.figures, deconvnet.experiments.look.page
assert 'matplotlib' not in sys.modules
deconvnet.figures.filters_picture(numpy.ones((2, 3, 3, 3)))
print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)
"""
    assert run_python(code) == "False False"


def test_a_missing_matplotlib_is_said_in_one_sentence() -> None:
    code = """
import sys, numpy
sys.modules['matplotlib'] = None  # as Python marks a module that is not to be found
from deconvnet.errors import DeconvnetError
from deconvnet.figures import filters_image, filters_picture
filters_image(numpy.ones((2, 3, 3, 3)))
try:
    filters_picture(numpy.ones((2, 3, 3, 3)))
except DeconvnetError as error:
    print(error)
"""
    assert "pip install 'deconvnet[figures]'" in run_python(code)
