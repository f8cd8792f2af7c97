"""The page of a look: complete by itself, valid, escaped, and honest about what is missing."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deconvnet.errors import RunError
from deconvnet.experiments.look import write_look_page
from deconvnet.figures import display, filters_image
from deconvnet.runs import Run, write_json

VOID = {"meta", "link", "img", "br", "hr", "input"}
NASTY = '<script>alert("1")</script> & $title'


class Page(HTMLParser):
    """Every element with its attributes, and a check that each is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def record(
    run: Run, photos: int = 2, layers: tuple[tuple[str, int], ...] = (("conv1", 7), ("conv5", 139))
) -> dict[str, Any]:
    """Store pictures in ``run`` and return the record that names them."""
    rng = np.random.default_rng(0)
    run.save_image("filters", filters_image(rng.normal(size=(6, 3, 7, 7))))
    entries = []
    for number in range(photos):
        view = f"photos/{number:02}"
        run.save_image(view, rng.integers(0, 256, (128, 128, 3), dtype=np.uint8))
        shown = []
        for layer, side in layers:
            maps = []
            for channel in range(2):
                base = f"{view}-{layer}-{channel:03}"
                run.save_image(f"{base}-projection", display(rng.normal(size=(3, side, side))))
                run.save_image(f"{base}-patch", rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
                maps.append(
                    {
                        "unit": f"{layer}:{channel}@1,2",
                        "activation": 3.14159,
                        "box": [-5, 6, side - 5, side + 6],
                        "projection": f"{base}-projection.png",
                        "patch": f"{base}-patch.png",
                        "scale": 0.0123 if channel else 0.0,
                    }
                )
            shown.append({"layer": layer, "receptive_field": side, "maps": maps})
        shown.append({"layer": "silent", "receptive_field": 200, "maps": []})
        entries.append(
            {
                "name": NASTY if number == 0 else f"photo{number}",
                "source": "a folder & <more>",
                "view": f"{view}.png",
                "predictions": [
                    {"class": f"class {NASTY}", "probability": 0.83},
                    {"class": "ant", "probability": 1e-5},
                ],
                "layers": shown,
            }
        )
    return {
        "network": {
            "name": "zfnet",
            "title": "ZFNet & <co>",
            "classes": 101,
            "parameters": 1234567,
            "input_size": [128, 128],
            "trained_on": "Caltech-101",
            "accuracy": "70 %",
            "weights": "shipped",
        },
        "settings": {"rule": "deconvnet", "unpool": "sum", "lrn": "identity", "top": 2, "layers": ["conv1", "conv5"]},
        "filters": "filters.png",
        "photos": entries,
        "skipped": [{"name": "x<y>.txt", "why": "not an image"}],
    }


def older(run: Run) -> Run:
    """The run as one of schema 1, whose record is ``look.json``."""
    write_json(run.path / "manifest.json", {**run.manifest, "schema": 1})
    return Run.open(run.path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = older(Run.create(tmp_path / "run", "look", {}, {}))
    run.save_json("look", record(run))
    run.finish()
    return run


@pytest.fixture
def text(run: Run) -> str:
    return write_look_page(run).read_text(encoding="utf-8")


@pytest.fixture
def page(text: str) -> Page:
    return Page(text)


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        return np.asarray(image.convert("RGB"))


def test_the_page_loads_nothing(text: str, page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed")
        assert not [name for name in attributes if name.startswith("on") or name in ("srcset", "action", "background")]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("data:", "#")), f"{tag} {name}"


def test_every_picture_is_there_and_small_ones_are_exact(run: Run, page: Page) -> None:
    pictures = page.all("img")
    # filters; for each of 2 photos its view and 2 layers x 2 maps x 2 pictures; the example's 2
    assert len(pictures) == 1 + 2 * (1 + 8) + 2
    assert all(attributes["alt"] for attributes in pictures)
    assert (decoded(pictures[2]["src"]) == run.image("filters")).all()
    by_alt = {attributes["alt"]: decoded(attributes["src"]) for attributes in pictures}
    small = by_alt["Projection of conv1:1@1,2 in photo1"]
    assert (small == run.image("photos/01-conv1-001-projection")).all()
    assert by_alt["Patch of photo1 that conv5:0@1,2 sees"].shape == (139, 139, 3)
    for image in page.all("image"):
        assert decoded(image["href"]).shape == (128, 128, 3)


def test_links_inside_the_page_have_their_targets(page: Page) -> None:
    named = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(named) == len(set(named))
    links = [a["href"][1:] for tag in ("a", "use") for a in page.all(tag)]
    assert set(links) <= set(named)
    assert {"photo-0", "photo-1", "view-0", "view-1"} <= set(links)


def test_the_receptive_field_is_marked_where_it_lies(page: Page) -> None:
    fields = [a for a in page.all("rect") if a["class"] == "field"]
    assert len(fields) == 1 + 2 * 4
    places = {tuple(int(a[key]) for key in ("x", "y", "width", "height")) for a in fields}
    assert places == {(6, -5, 7, 7), (6, -5, 139, 139)}
    for svg in page.all("svg"):
        if svg.get("role") == "img":
            left, top, width, height = (float(number) for number in svg["viewbox"].split())
            assert left <= 0
            assert top <= -5
            assert left + width >= 128
            assert top + height >= 128


def test_names_are_escaped(page: Page) -> None:
    assert page.text.count(f"class {NASTY}") == 4  # contents and predictions, two photos
    assert "A look inside ZFNet & <co>" in page.text
    assert "x<y>.txt: not an image" in page.text
    assert any(a["alt"] == f"{NASTY}, as the network sees it" for a in page.all("img"))


def test_numbers_are_printed(page: Page) -> None:
    for words in (
        "83.0 %",
        "< 0.1 %",
        "activation 3.14",
        "scale ±0.0123",
        "nothing comes back",
        "1,234,567",
        "101 classes",
    ):
        assert words in page.text
    widths = [a["style"] for a in page.all("span") if a.get("class") == "bar"]
    assert widths == ["width:83.00%", "width:0.00%"] * 2
    assert page.text.count("No map of this layer is active in this photo.") == 2


@pytest.mark.parametrize(
    "said",
    [
        "Mid-grey is zero.",
        "Brightness is not importance",
        "seen through its switches",
        "It shows one unit",
        "acts on the way up but is skipped on the way down. The biases of the layers are not used.",
        "The strongest maps are a selection.",
        "The network knows its 101 classes and nothing else.",
        "arXiv:1311.2901",
        "Mahendran",
        "arXiv:1805.07039",
        "arXiv:1810.03292",
        "arXiv:1912.09818",
    ],
)
def test_the_page_says_how_to_read_it(page: Page, said: str) -> None:
    assert said in page.text


def test_an_example_spells_out_an_address(page: Page) -> None:
    assert "layer conv5, feature map 0, at row 1 and column 2 of the map (all counted from 0)." in page.text


def test_written_where_asked_and_again(run: Run, tmp_path: Path) -> None:
    assert write_look_page(run) == run.path / "look.html"
    elsewhere = write_look_page(run, tmp_path / "pages" / "mine.html")
    assert elsewhere.read_bytes() == write_look_page(Run.open(run.path)).read_bytes()


def test_a_page_of_the_main_job_is_under_5_megabytes(tmp_path: Path) -> None:
    run = older(Run.create(tmp_path / "run", "look", {}, {}))
    content = record(run, 2, (("conv1", 7), ("conv2", 27), ("conv3", 75), ("conv4", 107), ("conv5", 139)))
    from skimage import data

    for entry in content["photos"]:  # real photos: noise does not compress
        for layer in entry["layers"]:
            side = layer["receptive_field"]
            for one in layer["maps"]:
                photo = data.astronaut()[: 2 * side : 2, : 2 * side : 2]
                run.save_image(one["patch"].removesuffix(".png"), photo)
                grey = photo.astype(float).transpose(2, 0, 1)
                run.save_image(one["projection"].removesuffix(".png"), display(np.gradient(grey, axis=2)))
            layer["maps"] = layer["maps"] * 3
    content["photos"] = content["photos"] * 3
    run.save_json("look", content)
    page = write_look_page(run)
    assert page.stat().st_size < 5e6
    assert page.read_text(encoding="utf-8").count('class="map"') == 6 * 5 * 6


def test_what_may_be_absent(run: Run) -> None:
    content = run.json("look")
    content["filters"] = None
    del content["skipped"]
    for entry in content["photos"]:
        entry["source"] = ""
        for layer in entry["layers"]:
            layer["maps"] = []
    content["network"] = {"name": "mine", "classes": 2, "parameters": 3, "input_size": [128, 128]}
    run.save_json("look", content)
    page = Page(write_look_page(run).read_text(encoding="utf-8"))
    assert "A look inside mine" in page.text
    assert "Left out" not in page.text


@pytest.mark.parametrize(
    "missing",
    [("photos",), ("network", "classes"), ("photos", 0, "view"), ("photos", 0, "layers", 0, "maps", 0, "box")],
)
def test_a_record_that_lacks_something_is_refused(run: Run, missing: tuple[Any, ...]) -> None:
    content = inner = run.json("look")
    for step in missing[:-1]:
        inner = inner[step]
    del inner[missing[-1]]
    run.save_json("look", content)
    with pytest.raises(RunError, match=rf"look.json in .* lacks '{missing[-1]}'"):
        write_look_page(run)
    assert not (run.path / "look.html").exists()


def test_a_damaged_record_is_refused(run: Run) -> None:
    for content in (
        [],
        {**run.json("look"), "photos": [3]},
        {**run.json("look"), "photos": []},
        {**run.json("look"), "network": None},
    ):
        run.save_json("look", content)
        with pytest.raises(RunError, match=r"make (the run|it) again"):
            write_look_page(run)


def test_a_missing_record_or_picture_is_refused(run: Run, tmp_path: Path) -> None:
    (run.path / "photos" / "01-conv5-001-patch.png").unlink()
    with pytest.raises(RunError, match=r"01-conv5-001-patch\.png"):
        write_look_page(run)
    with pytest.raises(RunError, match=r"look\.json"):
        write_look_page(older(Run.create(tmp_path / "empty", "look", {}, {})))
    assert not list(run.path.glob("*.html"))


def test_a_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="kind 'mine'"):
        write_look_page(Run.create(tmp_path / "run", "mine", {}, {}))
