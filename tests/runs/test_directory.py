"""Run directories: created, gone on with, opened and refused."""

import json

import numpy as np
import pytest

from deconvnet.errors import RunError
from deconvnet.runs import Run

SETTINGS = {"k": 9, "layers": ("conv4", "conv5")}
INPUTS = {"weights": "ab12", "photos": 120}


def make(path, **options):
    return Run.create(path, "mine", SETTINGS, INPUTS, **options)


def test_what_is_saved_is_read_after_opening(tmp_path):
    run = make(tmp_path / "deep" / "run")
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    run.save_arrays("top", {"conv5/values": np.eye(3)})
    run.save_json("table", {"a": [1]})
    run.save_image("tiles/conv5.1-17", image)
    assert not Run.open(run.path).finished
    run.finish()

    opened = Run.open(run.path, "mine")
    assert opened.finished
    assert opened.kind == "mine"
    assert opened.settings == {"k": 9, "layers": ["conv4", "conv5"]} == run.settings
    assert opened.inputs == INPUTS
    assert dict(opened.manifest) == dict(run.manifest)
    assert {"format", "schema", "created", "deconvnet", "finished_at"} <= set(opened.manifest)
    np.testing.assert_array_equal(opened.arrays("top")["conv5/values"], np.eye(3))
    assert opened.json("table") == {"a": [1]}
    np.testing.assert_array_equal(opened.image("tiles/conv5.1-17"), image)
    assert [opened.has(name) for name in ("top", "table", "tiles/conv5.1-17", "tiles", "other")] == [1, 1, 1, 0, 0]


def test_it_opens_in_another_place(tmp_path):
    make(tmp_path / "a").save_json("x", 1)
    (tmp_path / "a").rename(tmp_path / "b")
    assert Run.open(tmp_path / "b").json("x") == 1


def test_a_folder_of_something_else_is_refused_whatever_is_asked(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(RunError, match="not empty and not a run"):
            make(tmp_path, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_in_the_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        make(tmp_path / "run")


def test_an_existing_run_is_refused_unless_asked(tmp_path):
    make(tmp_path).save_json("x", 1)
    with pytest.raises(RunError, match="holds a mine run already"):
        make(tmp_path)
    assert Run.open(tmp_path).json("x") == 1


def test_resume_keeps_what_is_there_and_drops_leftovers_of_a_killed_process(tmp_path):
    first = make(tmp_path)
    first.save_json("x", 1)
    (tmp_path / ".0123.part").write_bytes(b"half")
    again = make(tmp_path, resume=True)
    assert again.json("x") == 1
    assert dict(again.manifest) == dict(first.manifest)
    assert not (tmp_path / ".0123.part").exists()


def test_resume_starts_in_a_new_place_and_in_one_with_leftovers_only(tmp_path):
    assert not make(tmp_path / "new", resume=True).finished
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".0123.part").write_bytes(b"half")
    make(tmp_path / "killed")


@pytest.mark.parametrize(
    ("settings", "inputs", "told"),
    [
        ({**SETTINGS, "k": 4}, INPUTS, r"other settings \(k: 9 there, 4 here\)"),
        ({"k": 9}, INPUTS, r"other settings \(layers: .* there, nothing here\)"),
        (SETTINGS, {**INPUTS, "weights": "cd34"}, r'other inputs \(weights: "ab12" there, "cd34" here\)'),
    ],
)
def test_resume_refuses_other_settings_and_inputs(tmp_path, settings, inputs, told):
    make(tmp_path).save_json("x", 1)
    with pytest.raises(RunError, match=told):
        Run.create(tmp_path, "mine", settings, inputs, resume=True)
    assert Run.open(tmp_path).json("x") == 1


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_run_of_another_kind_is_never_touched(tmp_path, options):
    Run.create(tmp_path, "train", SETTINGS, INPUTS).save_json("x", 1)
    with pytest.raises(RunError, match="kind 'train', not 'mine'"):
        make(tmp_path, **options)
    assert Run.open(tmp_path, "train").json("x") == 1


def test_overwrite_leaves_nothing_of_the_old_run(tmp_path):
    old = make(tmp_path)
    old.save_json("x", 1)
    old.save_image("tiles/a", np.zeros((2, 2), np.uint8))
    old.finish()
    new = Run.create(tmp_path, "mine", {"k": 4}, INPUTS, overwrite=True)
    assert not new.finished
    assert new.settings == {"k": 4}
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_half_cleared_run_is_not_gone_on_with(tmp_path):
    run = make(tmp_path)
    run.save_json("stale", 1)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "clearing": True}))
    again = make(tmp_path, resume=True)
    assert not again.has("stale")
    assert "clearing" not in again.manifest


def test_overwrite_and_resume_together_are_refused(tmp_path):
    with pytest.raises(RunError, match="both"):
        make(tmp_path, overwrite=True, resume=True)


def test_opening_tells_what_is_wrong(tmp_path):
    with pytest.raises(RunError, match="there is no run"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is not a run"):
        Run.open(tmp_path)
    make(tmp_path / "run")
    with pytest.raises(RunError, match="kind 'mine', and one of kind 'train'"):
        Run.open(tmp_path / "run", "train")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[1, 2]", "not a run of deconvnet"),
        (lambda text: text.replace("deconvnet-run", "else"), "not a run of deconvnet"),
        (lambda text: text.replace('"schema": 2', '"schema": 3'), "newer deconvnet"),
        (lambda text: text.replace('"schema": 2', '"schema": null'), "damaged"),
        (lambda text: text.replace('"settings"', '"other"'), "'settings' is missing"),
    ],
)
def test_damaged_manifests_are_told(tmp_path, change, told):
    make(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(RunError, match=told):
        Run.open(tmp_path)
    with pytest.raises(RunError, match=told):
        make(tmp_path, overwrite=True)


def test_damaged_contents_are_told(tmp_path):
    run = make(tmp_path)
    run.save_arrays("top", {"a": np.ones(100)})
    file = tmp_path / "top.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RunError, match="damaged or truncated"):
        run.arrays("top")
    with pytest.raises(RunError, match="there is no file"):
        run.arrays("other")


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "manifest", "a\\b"])
def test_names_stay_inside_the_run(tmp_path, name):
    run = make(tmp_path / "run")
    with pytest.raises(RunError, match="name"):
        run.save_json(name, 1)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["manifest.json"]


def test_settings_without_a_form_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(RunError, match="JSON has no form"):
        Run.create(tmp_path / "run", "mine", {"model": object()}, {})
    assert not (tmp_path / "run").exists()
