"""``deconvnet ablate``: Table 3 from the command line."""

from __future__ import annotations

from PIL import Image

from deconvnet.experiments.ablation.record import AblationRecord
from deconvnet.runs import Run

FAST = ("--epochs", 1, "--size", 64, "--fc-width", 8, "--batch-size", 8, "--threads", 1, "--seeds", 1)


def test_a_run_with_its_table_and_figure_and_the_same_again(command, two_classes, tmp_path):
    start = ("ablate", "practical", "--data", two_classes, *FAST, "--variant", "base", "--variant", "remove-3-4-6-7")
    answer = command(*start)
    assert answer.code == 0, answer
    record = AblationRecord.read(Run.open(tmp_path / "runs" / "ablate"))
    assert record.variants == ("base", "remove-3-4-6-7")
    assert record.table() in answer.out
    assert "2 classes of two, 1 seed\n" in answer.out
    with Image.open(tmp_path / "runs" / "ablate" / "ablation.png") as picture:
        assert picture.width > 1000
    weights = tmp_path / "runs" / "ablate" / "base" / "seed-0" / "network.safetensors"
    before = weights.stat().st_mtime_ns
    again = command(*start)
    assert again.code == 0
    assert record.table() in again.out
    assert weights.stat().st_mtime_ns == before


def test_refused(refused, two_classes, tmp_path):
    start = ("ablate", "practical", "--data", two_classes)
    assert "no recipe 'practicall': did you mean practical" in refused("ablate", "practicall", "--data", two_classes)
    assert "no variant 'remove-5'" in refused(*start, "--variant", "remove-5")
    assert "between 2 and the 2" in refused(*start, "--classes", 3)
    assert "1 class(es)" in refused(*start, "--exclude", "red")
    assert "--threads" in refused(*start, "--threads", 0)
    assert "no layers 3 to 7" in refused(*start, "--network", "lenet5")
    assert "there is no file or folder" in refused("ablate", "practical", "--data", "nowhere")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    assert "not empty and not a run" in refused(*start, *FAST, "--out", "thesis")
