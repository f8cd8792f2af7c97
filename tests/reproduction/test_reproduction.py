"""The whole paper at its smallest scale on pieces of sample photos; the claims' rules on records made by hand."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deconvnet.data import open_photos, sample_photos
from deconvnet.errors import DataError, RunError, UnknownNameError
from deconvnet.experiments.ablation.record import TABLE_3, AblationRecord
from deconvnet.experiments.averaging.record import AverageRow, AveragingRecord
from deconvnet.experiments.correspondence.record import CorrespondenceRecord, MaskedPhoto, SignChange
from deconvnet.experiments.transfer.record import ACCURACY, FeatureLayer, TransferRecord
from deconvnet.reproduction import PaperInputs, parts_of, plan, reproduce, some_classes
from deconvnet.reproduction.claims import CLAIMS
from deconvnet.reproduction.evidence import Claim, Evidence, Verdict, beyond, binomial_error
from deconvnet.reproduction.record import HOLDS, UNTESTABLE, VERDICTS, ReproductionRecord
from deconvnet.reproduction.scales import SCALES, scale_named
from deconvnet.runs import Run

MARKED = "photo,part,left,top,width,height\n" + "".join(
    f"{name}/{i:02}.jpg,{part},{left},30,16,14\n"
    for name in ("chelsea", "coffee")
    for i in range(3)
    for part, left in (("left", 25), ("right", 55))
)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    """Twelve pieces of each of four sample photos, in class folders."""
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("pieces")
    for photo in sample_photos():
        if photo.name in ("astronaut", "chelsea", "coffee", "rocket"):
            (folder / photo.name).mkdir()
            rng = np.random.default_rng(0)
            for i in range(12):
                top, left = (int(rng.integers(side - 110)) for side in photo.pixels.shape[:2])
                piece = photo.pixels[top : top + 90, left : left + 100]
                Image.fromarray(piece).save(folder / photo.name / f"{i:02}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def paper(pieces, tmp_path_factory) -> PaperInputs:
    folder = tmp_path_factory.mktemp("reproduction")
    (folder / "parts.csv").write_text(MARKED)
    return PaperInputs(SCALES["smoke"], open_photos(pieces), folder / "run", folder / "parts.csv")


@pytest.fixture(scope="module")
def record(paper) -> ReproductionRecord:
    return reproduce(paper)


def test_every_part_runs_and_every_claim_has_a_verdict(record, paper):
    assert {part.name: part.why for part in record.parts if part.seconds is None} == {}
    assert [part.name for part in record.parts] == [part.name for part in parts_of(paper)]
    assert [answer.name for answer in record.answers] == [claim.name for claim in CLAIMS]
    for answer in record.answers:
        assert answer.verdict in VERDICTS
        assert bool(answer.why) == (answer.verdict == UNTESTABLE), answer
    run = Run.open(paper.out, "reproduce")
    assert run.finished
    assert ReproductionRecord.read(run) == record
    kinds = {part.name: Run.open(paper.out / part.name) for part in record.parts}
    assert all(part.finished for part in kinds.values())


def test_seconds_of_training_judge_nothing_learned(record):
    by = {answer.name: answer for answer in record.answers}
    assert by["mostly-connected"].verdict == HOLDS
    assert by["mostly-connected"].ours == "62,357,608 in all, 58,631,144 in fc6 to fc8"
    learned = [claim.name for claim in CLAIMS if claim.learned]
    assert all(by[name].verdict == UNTESTABLE for name in learned)
    measured = [name for name in learned if by[name].ours]
    assert len(measured) > 25  # their figures are told all the same


def test_pictures_are_drawn(record, paper):
    for place in (
        "compare/comparison", "diagnose/diagnosis", "invariance/invariance", "correspond/correspondence",
        "sanity/sanity", "average/average", "occlude/occlusion", "occlude/faithfulness", "mine/conv5",
        "evolve/evolution", "evolve/convergence", "transfer/transfer", "ablate/ablation",
    ):  # fmt: skip
        with Image.open(paper.out / f"{place}.png") as picture:
            assert picture.width > 300, place


def test_the_same_again_does_nothing_and_a_lost_part_is_done_again(record, paper):
    began: list[str] = []
    again = reproduce(paper, began=lambda part: began.append(part.name))
    assert began == []
    assert again == record
    shutil.rmtree(paper.out / "compare")
    reproduce(paper, only=["invariance"], began=lambda part: began.append(part.name))
    assert began == []
    assert [each.done for each in plan(paper)].count(False) == 1
    third = reproduce(paper, began=lambda part: began.append(part.name))
    assert began == ["compare"]
    assert [answer.verdict for answer in third.answers] == [answer.verdict for answer in record.answers]


def test_a_killed_part_is_begun_again(record, paper):
    def killed(_report: object) -> None:
        raise KeyboardInterrupt

    (paper.out / "done" / "invariance.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        reproduce(replace(paper, tell=killed))
    assert [each.part.name for each in plan(paper) if not each.done] == ["invariance"]
    answers = {each.name: each.ours for each in reproduce(paper).answers}
    assert answers == {each.name: each.ours for each in record.answers} | {"covered-object": answers["covered-object"]}


def test_what_the_data_cannot_do_stops_nothing_else(paper, tmp_path):
    """Without marked parts' photos, and without enough classes to halve."""
    two = replace(paper, photos=paper.photos.exclude(["astronaut", "rocket"]), parts_file=None, out=tmp_path / "run")
    found = reproduce(two, only=["correspond", "train-half"])
    why = {part.name: part.why for part in found.parts}
    assert "no photo 'Faces_easy/image_0007.jpg'" in why["correspond"]
    assert "2 classes cannot be halved" in why["train-half"]
    assert why["train-zfnet"] == ""
    by = {answer.name: answer for answer in found.answers}
    assert by["correspondence"].why.startswith("no correspond: there is no photo")
    assert by["wider"].why == "no ablate: not done yet"
    assert by["clipping"].why == "no train-unclipped: not planned at this scale"
    assert not Run.open(two.out).finished


def test_refused(paper, tmp_path):
    with pytest.raises(UnknownNameError, match="no part 'invarianz': did you mean invariance"):
        reproduce(replace(paper, out=tmp_path / "new"), only=["invarianz"])
    with pytest.raises(UnknownNameError, match="no scale 'laptops'"):
        scale_named("laptops")
    with pytest.raises(DataError, match="1 class"):
        plan(replace(paper, photos=paper.photos.exclude(["astronaut", "coffee", "rocket"])))
    assert not (tmp_path / "new").exists()


def test_another_scale_or_other_photos_are_refused(record, paper):
    with pytest.raises(RunError, match="other settings"):
        reproduce(replace(paper, scale=SCALES["laptop"]))
    with pytest.raises(RunError, match="other inputs"):
        reproduce(replace(paper, photos=paper.photos.exclude(["rocket"])))


def test_every_scale_is_planned(paper, tmp_path):
    names = {}
    for scale in SCALES.values():
        planned = plan(replace(paper, scale=scale, out=tmp_path / "none"))
        names[scale.name] = {each.part.name for each in planned}
        assert not any(each.done for each in planned)
        assert sum(each.minutes for each in planned) > 0
        known = {each.part.name for each in planned}
        assert all(need in known for each in planned for need in each.part.needs)
    assert names["full"] - names["smoke"] == {
        "train-unclipped", "average-zfnets", *(f"train-zfnet-seed-{seed}" for seed in (1, 2, 3, 4))
    }  # fmt: skip
    assert names["smoke"] - names["laptop"] == {"train-zfnet", "train-alexnet-dense"}
    claimed = {part for claim in CLAIMS for part in claim.parts}
    assert claimed <= names["full"]
    assert not (tmp_path / "none").exists()


def test_some_classes_of_some_photos(paper):
    found = some_classes(paper.photos, 2, 5)
    assert found.classes == ("astronaut", "rocket")
    assert list(np.bincount(found.labels)) == [5, 5]
    assert len(some_classes(paper.photos, None)) == 48


# -- rules -----------------------------------------------------------------------------------------------------------


def test_beyond_twice_its_error():
    assert beyond(0.05, 0.02) is True
    assert beyond(-0.05, 0.02) is False
    assert beyond(0.03, 0.02) is None
    assert binomial_error(0.5, 100) == 0.05
    assert binomial_error(0.0, 100) == pytest.approx(math.sqrt(0.005 * 0.995 / 100))


def errors_as(errors: dict[str, float], held_out: int) -> AblationRecord:
    names = tuple(errors)
    top1 = np.array([[errors[name]] * 2 for name in names])
    train = top1 - 0.05
    return AblationRecord(
        "zfnet", "r", "d", 1, 64, 2, 10, held_out, 10, names, names, (0, 1),
        np.zeros(len(names), np.int64), train, top1, top1, top1, np.ones_like(top1),
    )  # fmt: skip


def judged(name: str, record: AblationRecord | TransferRecord | CorrespondenceRecord, tmp_path: Path) -> Verdict:
    """A claim judged on a record written to the disk."""
    part = {AblationRecord: "ablate", TransferRecord: "transfer", CorrespondenceRecord: "correspond"}[type(record)]
    record.write(Run.create(tmp_path / part, part, {}, {}, overwrite=True))
    claim = next(each for each in CLAIMS if each.name == name)
    return claim.judge(Evidence(tmp_path, {}, 2))


def test_the_papers_own_table_3_passes_where_it_says_so(tmp_path):
    """The paper's figures on its 50,000 photos: its words are borne out but where two networks hardly differ."""
    own = {name: row.replication.top1 / 100 for name, row in TABLE_3.items() if row.replication}
    record = errors_as(own, 50_000)
    for name in ("depth", "without-3-4", "without-6-7", "without-7", "connected-sizes"):
        assert judged(name, record, tmp_path).holds is True, name
    three = {name: row.figure3.top1 / 100 for name, row in TABLE_3.items() if row.figure3}
    assert judged("wider", errors_as(three, 50_000), tmp_path).holds is True
    both = errors_as(three, 50_000)
    printed = [[row.figure3.train / 100] * 2 for row in TABLE_3.values() if row.figure3]
    both = dataclasses.replace(both, train=np.array(printed))
    assert judged("overfitting", both, tmp_path).holds is True
    assert judged("overfitting", dataclasses.replace(both, train=-both.train), tmp_path).holds is False
    few = errors_as(own, 50)
    for name in ("depth", "without-3-4", "without-7", "connected-sizes"):
        assert judged(name, few, tmp_path).holds is None, name
    assert "not trained at this scale: wide" in judged("wider", errors_as(own, 50), tmp_path).why
    worse = dataclasses.replace(record, top1=np.where(record.top1 == own["remove-7"], 0.65, record.top1))
    assert judged("without-7", worse, tmp_path).holds is False


def test_the_papers_own_tables_4_and_7_pass(tmp_path):
    def record(svm: list[float], scratch: tuple[float, float], tested: int) -> TransferRecord:
        layers = tuple(FeatureLayer(f"l{i}", (4,), (4,)) for i in range(len(svm)))
        scores = np.array([[[v - 0.02] * 2, [v] * 2] for v in svm])[:, None].repeat(2, 1)
        return TransferRecord(
            "n", "d", ACCURACY, ("a", "b"), (), layers, ("svm", "softmax"), (15, 30), 2, 0,
            np.full(2, tested), scores, np.zeros((len(svm), 2, 2, 2, 2)), np.ones_like(scores), 0.5,
            np.array([[each, math.nan] for each in scratch]), "recipe", 1, 0, 0, 0.9, (), 1.0, 1.0,
        )  # fmt: skip

    table_7 = [0.448, 0.662, 0.723, 0.766, 0.862, 0.855]
    own = record(table_7, (0.228, 0.465), 2000)
    for name in ("pretrained", "few-photos", "deeper"):
        assert judged(name, own, tmp_path).holds is True, name
    close = record(table_7, (0.84, 0.85), 5)
    for name in ("pretrained", "few-photos"):
        assert judged(name, close, tmp_path).holds is None, name
    assert judged("deeper", record([0.5] * 5, (0.2, 0.4), 5), tmp_path).holds is None
    assert judged("pretrained", record(table_7, (0.95, 0.97), 2000), tmp_path).holds is False
    assert judged("deeper", record([0.448, 0.662, 0.5, 0.7, 0.862], (0.2, 0.4), 2000), tmp_path).holds is False


def test_the_papers_own_table_1_passes_if_it_is_no_noise(tmp_path):
    def record(p_value: float) -> CorrespondenceRecord:
        printed = {"right eye": (0.067, 0.069), "left eye": (0.069, 0.068), "nose": (0.079, 0.069)}
        random = {"pool5": (0.107, 0.017), "relu7": (0.073, 0.014)}
        rows = tuple(
            SignChange("dogs", part, layer, 5, mean, 0.01, *random[layer], p_value, 0.2, 0.2, 0.3, 0.5, p_value)
            for part, means in printed.items()
            for layer, mean in zip(random, means, strict=True)
        )
        photo = MaskedPhoto("dogs/1.jpg", "dogs", np.zeros((4, 4, 3), np.uint8), (), (), ())
        covered = np.zeros((1, 4, 4, 3), np.uint8)
        words = ("net", tuple(random), "mean", 10, 99, 0)
        return CorrespondenceRecord(*words, rows, (photo,), covered, {}, (), 1, 1, 1.0, 1.0)

    found = judged("correspondence", record(0.01), tmp_path)
    assert found.holds is True
    assert found.ours.startswith("0.072 against 0.107; lower with p < 0.05 in 3 of 3 parts")
    assert judged("correspondence", record(0.2), tmp_path).holds is False
    assert judged("correspondence-7", record(0.2), tmp_path).holds is True
    shutil.copytree(tmp_path / "correspond", tmp_path / "correspond-control")
    assert judged("correspondence-learned", record(0.01), tmp_path).holds is True
    assert judged("correspondence-learned", record(0.2), tmp_path).holds is False
    record(0.01).write(Run.open(tmp_path / "correspond-control"))  # a control that does as well
    assert judged("correspondence-learned", record(0.01), tmp_path).holds is False


def test_averages_are_judged_by_the_photos_that_differ(tmp_path):
    def evidence(zfnet: list[int], alexnet: list[int]) -> Evidence:
        run = Run.create(tmp_path / "average", "average", {"networks": ["alexnet-dense", "zfnet"]}, {}, overwrite=True)
        labels = np.zeros(len(zfnet), np.int64)
        given = np.array([alexnet, zfnet])
        rows = tuple(AverageRow(name, len(labels), 0, 0, 0, 0) for name in ("alexnet-dense", "zfnet", "average of 2"))
        probabilities = np.eye(2, dtype=np.float32)[given]
        AveragingRecord(rows, labels, np.arange(len(labels)), probabilities, ("a", "b"), False, "").write(run)
        return Evidence(tmp_path, {}, 2)

    judge = next(each for each in CLAIMS if each.name == "better-than-alexnet").judge
    found = judge(evidence([0] * 10, [1] * 8 + [0] * 2))
    assert found.holds is True
    assert found.ours == "0.0 % against 80.0 % (10 photos); 8 photos righted, 0 spoilt, p = 0.0078"
    assert judge(evidence([1] * 8 + [0] * 2, [0] * 10)).holds is False
    assert judge(evidence([0] * 10, [1] * 4 + [0] * 6)).holds is None


def test_the_table_and_the_page_name_every_claim(record):
    table, page = record.table(), record.markdown()
    assert max(map(len, table.splitlines())) <= 140
    for answer in record.answers:
        assert answer.where.split(",")[0] in table
        assert answer.claim in page
        assert answer.rule in page
    assert f"{len(CLAIMS)} claims at scale smoke: 1 holds" in record.summary()
    for part in record.parts:
        assert part.name in record.times()


def test_a_damaged_record_is_refused(record, paper, tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    for name in ("manifest.json", "record.json"):
        shutil.copy(paper.out / name, place / name)
    content = json.loads((place / "record.json").read_text())
    del content["answers"]
    (place / "record.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="damaged"):
        ReproductionRecord.read(Run.open(place))
    with pytest.raises(RunError, match="kind 'mine'"):
        ReproductionRecord.read(Run.create(tmp_path / "mine", "mine", {}, {}))


@pytest.mark.parametrize(
    ("holds", "missing", "learned", "trains", "verdict", "why"),
    [
        (True, {}, True, True, "holds", ""),
        (False, {}, True, True, "does not hold", ""),
        (None, {}, True, True, "not testable", "too few"),
        (True, {"compare": "it was left out"}, True, True, "not testable", "no compare: it was left out"),
        (True, {"occlude": "it was left out"}, True, True, "holds", ""),
        (False, {}, True, False, "not testable", "this scale trains for seconds only"),
        (False, {}, False, False, "does not hold", ""),
    ],
)
def test_what_was_found_becomes_a_verdict(tmp_path, holds, missing, learned, trains, verdict, why):
    said = Verdict("3 of 4", holds, "too few" if holds is None else "")
    claim = Claim("some", "Sec. 4", "It is so", "so", "more than half", ("compare",), lambda _evidence: said, learned)
    answer = claim.answer(Evidence(tmp_path, missing, 5), trains)
    assert (answer.verdict, answer.why) == (verdict, why)
    assert answer.ours == ("" if "compare" in missing else "3 of 4")
    record = ReproductionRecord("smoke", "", "", (), (), (answer, answer))
    counts = ", ".join(f"{2 * (word == verdict)} {word}" for word in ("holds", "does not hold", "not testable"))
    assert record.summary() == f"2 claims at scale smoke: {counts}."
