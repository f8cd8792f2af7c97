"""Tables of parts, and boxes found again in what a network sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import deconvnet
from deconvnet.errors import DataError
from deconvnet.experiments.correspondence.parts import Part, check_inside, read_parts, view_box, visible
from deconvnet.geometry import Box
from deconvnet.networks import Preprocessing

HEAD = "photo,part,left,top,width,height\n"
PAPER = Preprocessing(224, 256, np.zeros((3, 1, 1), np.float32))


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "parts.csv"
    path.write_text(text)
    return path


def test_the_shipped_parts():
    parts = read_parts()
    photos = {group: {p.photo for p in parts if p.photo.startswith(group)} for group in ("Faces_easy/", "dalmatian/")}
    assert {group: len(found) for group, found in photos.items()} == {"Faces_easy/": 12, "dalmatian/": 12}
    for photo in photos["dalmatian/"]:
        named = {p.part: p for p in parts if p.photo == photo}
        assert set(named) == {"right eye", "left eye", "nose"}
    for photo in photos["Faces_easy/"]:
        named = {p.part: p for p in parts if p.photo == photo}
        assert set(named) == {"right eye", "left eye", "nose", "mouth"}
        assert named["mouth"].top > named["nose"].top
    for photo in set.union(*photos.values()):
        named = {p.part: p for p in parts if p.photo == photo}
        assert named["right eye"].left + named["right eye"].width <= named["left eye"].left  # the subject's own right
        assert named["nose"].top + named["nose"].height > named["left eye"].top + named["left eye"].height


def test_the_shipped_parts_fit_their_photos():
    archive = Path(__file__).parents[4] / "shared" / "data" / "caltech-101.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    photos = deconvnet.open_photos(archive)
    place = {name: i for i, name in enumerate(photos.names)}
    shipped = deconvnet.load("zfnet").preprocessing
    for photo in {part.photo for part in read_parts()}:
        marked = [part for part in read_parts() if part.photo == photo]
        height, width = photos.read(place[photo]).shape[:2]
        check_inside(marked, height, width)
        for part in marked:
            for seen in (shipped, PAPER):
                assert visible(seen, view_box(seen, height, width, part.box)), part


@pytest.mark.parametrize(("height", "width"), [(300, 400), (431, 299), (256, 256), (100, 60), (40, 4000)])
@pytest.mark.parametrize("border", [0, 3])
def test_a_marked_square_is_found_in_the_view(height, width, border):
    p = Preprocessing(64 + 2 * border, 72, np.zeros((3, 1, 1), np.float32), border=border)
    side = min(height, width) // 4
    box = Box(height // 2 - side, width // 2 - side // 2, height // 2, width // 2 + side - side // 2)
    photo = np.zeros((height, width, 3), np.uint8)
    photo[box.top : box.bottom, box.left : box.right] = 255
    found = view_box(p, height, width, box)
    assert visible(p, found)
    bright = np.argwhere(p.view(photo)[..., 0] > 127)
    first, last = bright.min(0), bright.max(0) + 1
    assert found == pytest.approx((*first, *last), abs=1)


def test_a_box_beyond_the_crop_is_told_apart():
    photo = (300, 400)  # 224 of 341 x 256 px: columns 69 to 331 of the photo are seen, rows 19 to 281
    assert visible(PAPER, view_box(PAPER, *photo, Box(20, 71, 40, 91)))
    assert not visible(PAPER, view_box(PAPER, *photo, Box(20, 60, 40, 80)))
    assert not visible(PAPER, view_box(PAPER, *photo, Box(20, 380, 40, 400)))
    assert not visible(PAPER, view_box(PAPER, *photo, Box(0, 200, 25, 220)))
    tiny = view_box(PAPER, 3000, 4000, Box(1500, 2000, 1501, 2001))
    assert (tiny.height, tiny.width) == (1, 1)


def test_a_table_with_blanks_other_columns_and_a_mark(tmp_path):
    path = table(tmp_path, "\ufeffpart, photo ,who,left,top,width,height\nnose, a\\b.jpg ,me,1,2, 3,4\n\n,,,,,,\n")
    assert read_parts(path) == (Part("a/b.jpg", "nose", 1, 2, 3, 4),)
    assert read_parts(path)[0].box == Box(2, 1, 6, 4)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "lacks the column 'photo'"),
        ("photo,part,left,top,width\n", "lacks the column 'height'"),
        (HEAD, "marks no part"),
        (HEAD + "a.jpg,nose,1,2,3\n", "line 2 .* has '' for height"),
        (HEAD + "a.jpg,nose,1,2.5,3,4\n", "'2.5' for top: give a whole number"),
        (HEAD + "a.jpg,,1,2,3,4\n", "line 2 .* has no part"),
        (HEAD + ",nose,1,2,3,4\n", "line 2 .* has no photo"),
        (HEAD + "a.jpg,nose,1,2,0,4\n", "is empty"),
        (HEAD + "a.jpg,nose,1,2,3,4\na.jpg,nose,5,2,3,4\n", "marks 'nose' of a.jpg twice"),
    ],
)
def test_refused_tables(tmp_path, text, part):
    with pytest.raises(DataError, match=part):
        read_parts(table(tmp_path, text))


def test_refused_files(tmp_path):
    with pytest.raises(DataError, match="there is no parts file"):
        read_parts(tmp_path / "none.csv")
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match="not text in UTF-8"):
        read_parts(tmp_path / "photo.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_parts(tmp_path)


@pytest.mark.parametrize(("left", "top"), [(-1, 0), (0, -1), (8, 0), (0, 18)])
def test_boxes_that_leave_their_photo(left, top):
    check_inside([Part("a.jpg", "nose", 7, 17, 3, 3)], 20, 10)
    with pytest.raises(DataError, match=r"'nose' of a.jpg .* leaves its photo of 10 x 20 px"):
        check_inside([Part("a.jpg", "nose", left, top, 3, 3)], 20, 10)
