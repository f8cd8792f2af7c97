"""``deconvnet correspond``: Table 1 and Figure 8 from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deconvnet.experiments.correspondence.record import CorrespondenceRecord
from deconvnet.runs import Run

HEAD = "photo,part,left,top,width,height\n"
FAST = ("--permutations", 19, "--regions", 2)


@pytest.fixture
def parts(tmp_path) -> Path:
    path = tmp_path / "parts.csv"
    lines = [f"red/{i}.jpg,nose,{30 + i},30,12,10\nred/{i}.jpg,ear,20,{20 + i},8,8\n" for i in range(3)]
    path.write_text(HEAD + "".join(lines))
    return path


def test_parts_to_a_run_with_its_figure(command, small_weights, two_classes, parts, tmp_path):
    answer = command("correspond", small_weights, parts, "--data", two_classes, *FAST)
    assert answer.code == 0, answer
    record = CorrespondenceRecord.read(Run.open(tmp_path / "runs" / "correspond"))
    assert record.groups == ("red",)
    assert "red: 3 photos" in answer.out
    assert {row.part for row in record.rows} == {"nose", "ear"}
    for row in record.rows:
        assert f"{row.mean:.3f} ± {row.std:.3f}" in answer.out
        assert f"{row.p_value:.4f}" in answer.out
    with Image.open(tmp_path / "runs" / "correspond" / "correspondence.png") as picture:
        assert picture.width > 1000


def test_one_part_other_layers_and_fill(command, small_weights, two_classes, parts, tmp_path):
    answer = command(
        *("correspond", small_weights, parts, "--data", two_classes, "--part", "nose", "--out", "run"),
        *("--layer", "conv3", "--fill", "#ff0000", *FAST),
    )
    assert answer.code == 0, answer
    record = CorrespondenceRecord.read(Run.open(tmp_path / "run"))
    assert {(row.part, row.layer) for row in record.rows} == {("nose", "conv3")}
    assert (record.covered == (255, 0, 0)).all()


def test_a_part_that_is_left_out_is_told(command, small_weights, two_classes, parts):
    with open(parts, "a") as file:
        file.write("red/4.jpg,nose,0,0,9,9\n")
    answer = command("correspond", small_weights, parts, "--data", two_classes, *FAST)
    assert answer.code == 0, answer
    assert "left out: 'nose' of red/4.jpg (9 x 9 px at left 0, top 0) lies outside of the centre crop" in answer.out


def test_the_shipped_parts_need_their_photos(refused, small_weights, two_classes):
    said = refused("correspond", small_weights, "--data", two_classes)
    assert "no photo 'Faces_easy/image_0007.jpg'" in said


def test_refused(refused, command, small_weights, two_classes, parts, tmp_path):
    start = ("correspond", small_weights, parts, "--data", two_classes, *FAST)
    assert "no part 'noes': did you mean nose" in refused(*start, "--part", "noes")
    assert "there is no parts file" in refused("correspond", small_weights, "x.csv", "--data", two_classes)
    assert "there is no file or folder" in refused("correspond", small_weights, parts, "--data", "nowhere")
    assert "did you mean conv3" in refused(*start, "--layer", "conv33")
    assert "no fill" in refused(*start, "--fill", "heliotropic")
    assert "regions must be" in refused(*start, "--regions", 0)
    for name, line, part in (
        ("outside", "red/3.jpg,nose,75,30,12,10\n", "leaves its photo of 80 x 70 px"),
        ("unknown", "red/33.jpg,nose,30,30,12,10\n", "no photo 'red/33.jpg'"),
        ("lonely", "red/3.jpg,tail,30,30,12,10\n", "'tail' is marked in one photo of red only"),
    ):
        (tmp_path / f"{name}.csv").write_text(parts.read_text() + line)
        assert part in refused("correspond", small_weights, f"{name}.csv", "--data", two_classes, *FAST)
    (tmp_path / "one.csv").write_text(HEAD + "red/3.jpg,nose,30,30,12,10\n")
    assert "a pair needs two" in refused("correspond", small_weights, "one.csv", "--data", two_classes)
    assert command(*start, "--out", "run").code == 0
    assert "--overwrite" in refused(*start, "--out", "run")


def test_the_control_says_so(command, small_weights, two_classes, parts, tmp_path):
    start = ("correspond", small_weights, parts, "--data", two_classes, *FAST)
    assert command(*start, "--out", "own").code == 0
    assert command(*start, "--out", "control", "--shuffle-weights").code == 0
    own, control = (CorrespondenceRecord.read(Run.open(tmp_path / name)) for name in ("own", "control"))
    assert control.network == "zfnet, weights shuffled"
    assert [row.mean for row in control.rows] != [row.mean for row in own.rows]
    assert [masked.random for masked in control.masked] == [masked.random for masked in own.masked]
