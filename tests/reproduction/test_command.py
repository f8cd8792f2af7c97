"""``deconvnet reproduce`` from the command line."""

from __future__ import annotations

from deconvnet.reproduction.claims import CLAIMS
from deconvnet.reproduction.record import ReproductionRecord
from deconvnet.runs import Run


def test_a_plan_of_each_scale_writes_nothing(command, two_classes, tmp_path):
    for scale, last in (("smoke", "ablate"), ("laptop", "ablate"), ("full", "average-zfnets")):
        answer = command("reproduce", "--data", two_classes, "--scale", scale, "--dry-run")
        assert answer.code == 0, answer
        assert last in answer.out
        assert "minutes of one core are left" in answer.out
    assert list(tmp_path.iterdir()) == []


def test_one_part_then_the_same_again(command, two_classes, tmp_path):
    start = ("reproduce", "--data", two_classes, "--scale", "smoke", "--threads", 1, "--only", "ablate")
    answer = command(*start)
    assert answer.code == 0, answer
    assert "ablate: " in answer.err
    place = tmp_path / "runs" / "reproduction"
    record = ReproductionRecord.read(Run.open(place))
    assert record.table() in answer.out
    assert record.summary() in answer.out
    assert len(record.answers) == len(CLAIMS)
    assert {part.name for part in record.parts if part.seconds is not None} == {"ablate"}
    assert record.markdown() == (place / "claims.md").read_text()
    again = command(*start)
    assert again.code == 0
    assert "ablate: " not in again.err
    assert record.table() in again.out


def test_refused(refused, two_classes, tmp_path):
    start = ("reproduce", "--data", two_classes)
    assert "no scale 'huge': choose from smoke, laptop, full" in refused(*start, "--scale", "huge")
    assert "no part 'ablation': did you mean ablate" in refused(*start, "--only", "ablation")
    assert "1 class(es)" in refused(*start, "--exclude", "red")
    assert "no class 'blue'" in refused(*start, "--exclude", "blue")
    assert "--threads" in refused(*start, "--threads", 0)
    assert "nowhere.csv" in refused(*start, "--parts", "nowhere.csv")
    assert "there is no file or folder" in refused("reproduce", "--data", "nowhere")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    assert "not empty and not a run" in refused(*start, "--scale", "smoke", "--out", "thesis")
