"""Figure 7 and the deletion and insertion curves: what they hold, and that no text meets another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.experiments.occlusion.test_record import occluded, occlusion_map
from tests.figures.test_figures import LONG, collisions, words

from deconvnet.errors import OptionError
from deconvnet.experiments.occlusion.faithfulness_figure import faithfulness_curves
from deconvnet.experiments.occlusion.faithfulness_record import ORDERS, Faithfulness
from deconvnet.experiments.occlusion.figure import occlusion_panel
from deconvnet.experiments.occlusion.record import Grid, OccludedPhoto

GRID = Grid.of((64, 64), (16, 12), (8, 6))


def test_one_row_for_each_photo_and_fill_without_collisions():
    photos = [occluded(GRID), OccludedPhoto("b.png", 0, False, 1, (occlusion_map(GRID, "blur"),), (), "it is dark.")]
    figure = occlusion_panel(photos, title="zfnet")
    assert collisions(figure) == []
    said = words(figure)
    for part in ("zfnet", "(a) photo and square", "conv5:2", "class 1 (given)", "class 0 (predicted)", "b.png"):
        assert part in said
    assert said.count("cat.jpg") == 2
    assert any("16 x 12 px" in text and "stride 8 x 6" in text and "border inside" in text for text in said)
    assert any(text.startswith("No projection") for text in said)
    assert any("framed: here, 3.5; 1 other photo" in text for text in said)
    # photo, 3 maps and 3 bars, classes: 8; and the projections
    assert len(figure.axes[0].images) == 3 * 8 + 2 * 2


def test_long_names_and_many_classes_still_fit():
    found = occlusion_map(GRID, "noise", classes=40)
    found = dataclasses.replace(found, layer=LONG.split(":")[0], classes=tuple(f"{LONG} {i}" for i in range(40)))
    photo = OccludedPhoto(LONG + ".jpg", 39, True, 3, (found,), occluded(GRID).projections[:1])
    assert collisions(occlusion_panel([photo], "logit", LONG)) == []
    assert any(text.endswith("other classes") for text in words(occlusion_panel([photo])))


@pytest.mark.parametrize("shape", [(40, 80), (80, 40)])
def test_photos_of_any_shape(shape):
    photo = occluded(Grid.of(shape, 10, 7, "partial"))
    assert collisions(occlusion_panel([dataclasses.replace(photo, maps=photo.maps[:1])])) == []


def test_colours_say_what_the_arrays_say():
    found = occlusion_map(GRID)
    logits = np.zeros_like(found.logits)
    logits[:3, :, 2] = 5  # the upper three rows
    logits[3:, :, 0] = 5
    found = dataclasses.replace(found, logits=logits, clean_logits=np.array([5, 0, 0], np.float32))
    figure = occlusion_panel([OccludedPhoto("a", 0, True, 0, (found,), (), "none.")])
    images = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    pictures = [image for image in images if image.shape == (64, 64, 3)]
    assert len(pictures) == 5
    photo, _activity, probability, lost, classes = pictures
    rows, columns = found.grid.cells()
    inside = (rows >= 0)[:, None] & (columns >= 0)
    upper, lower = inside & (rows < 3)[:, None], inside & (rows >= 3)[:, None]
    assert (classes[lower] == (0, 0x72, 0xB2)).all()  # the shown class
    assert (classes[upper] == (0xE6, 0x9F, 0)).all()
    for picture in (classes, probability):
        assert picture[~inside].min() >= 222  # the photo, faintly
        assert np.ptp(picture[~inside], axis=1).max() == 0  # and grey
    assert len(np.unique(probability[upper], axis=0)) == len(np.unique(probability[lower], axis=0)) == 1
    assert probability[lower][0].mean() > probability[upper][0].mean()  # viridis grows lighter
    assert lost[4, 32, 0] > lost[4, 32, 2]  # red above: covering there lowers the class
    assert (lost[60, 32] > 240).all()  # white below
    box = found.grid.windows[int(found.score(0).argmin())]
    np.testing.assert_array_equal(
        photo[box[0] : box[2], box[1] : box[3]], found.fill.picture[box[0] : box[2], box[1] : box[3]]
    )
    assert (photo[40:] == found.view[40:]).all()


def test_nothing_to_draw_is_refused():
    with pytest.raises(OptionError, match="at least one"):
        occlusion_panel([])
    with pytest.raises(OptionError, match="probability, logit"):
        occlusion_panel([occluded(GRID)], "odds")
    with pytest.raises(OptionError, match="at least one record"):
        faithfulness_curves([])


def test_curves_and_their_areas():
    shares = np.linspace(0, 1, 9)
    falling = {
        order: np.stack([1 - shares * 0.9] * (1 + 2 * (i > 1))).astype(np.float32) for i, order in enumerate(ORDERS)
    }
    falling["random pixels"][1] = 0.5
    rising = {order: 1 - values for order, values in falling.items()}
    one = Faithfulness("a.jpg", "cat", "grey (127, 127, 127)", shares, falling, rising)
    figure = faithfulness_curves([one, one], "zfnet")
    said = words(figure)
    assert collisions(figure) == []
    assert said.count("map") == 2
    assert said.count("0.550") >= 2  # under the deletion curve
    assert said.count("0.450") >= 2
    assert f"± {np.std([0.55, 0.5, 0.55]):.3f}" in said
    assert len(figure.axes) == 6
    assert len(figure.axes[0].lines) == 4
    titles = [text.get_text() for text in figure.texts]
    assert "a.jpg · cat · fill: grey (127, 127, 127)" in titles
