"""The page of a look into a network: `write_look_page`.

The page's words and skeleton are in ``page.html``, its style in ``page.css``; here are the parts that repeat.
"""

from __future__ import annotations

import os
from html import escape
from importlib.resources import files
from math import isfinite
from pathlib import Path
from string import Template

from deconvnet.errors import RunError
from deconvnet.experiments.look.record import LayerPictures, Look, Photo, UnitPicture
from deconvnet.figures.inline import EXACT_SIDE, picture_uri
from deconvnet.geometry import Box
from deconvnet.runs.directory import Run
from deconvnet.runs.files import write_text

_PIXELATED = 48  # receptive fields up to this side are enlarged pixel by pixel
_TINY = 16  # receptive fields up to this side need little room
_MADE = "Made with deconvnet {version}, {date}: rule {rule}, unpooling {unpool}, contrast normalisation {lrn}."
_LRN = {
    "identity": "Contrast normalisation acts on the way up but is skipped on the way down.",
    "grad": "Contrast normalisation is reversed here by its gradient, which the paper does not do.",
}


def write_look_page(run: Run, path: str | os.PathLike[str] | None = None) -> Path:
    """Write the page of a look into a network: one HTML file that needs no other file.

    Parameters
    ----------
    run : deconvnet.runs.Run
        A run of kind ``"look"``, with its record and the pictures named there.
    path : path, optional
        Where to write; by default ``look.html`` in the run.

    Returns
    -------
    Path
        The page, which appears whole or not at all. About 3 MB for six photos, five layers and six maps.

    Raises
    ------
    RunError
        If the run is of another kind, its record or a picture is missing or damaged, or the page cannot be written.
    """
    kind = run.manifest.get("kind")
    if kind != "look":
        raise RunError(f"{run.path} is a run of kind {kind!r}, and this page needs one of kind 'look'.")
    target = Path(run.path) / "look.html" if path is None else Path(path)
    write_text(target, look_page(run))
    return target


def look_page(run: Run) -> str:
    """The page that `write_look_page` writes, as text."""
    look = Look.read(run)
    resources = files("deconvnet.experiments.look")
    count = len(look.photos)
    lrn = str(look.settings.get("lrn", "identity"))
    return Template((resources / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(look.network.title),
        style=(resources / "page.css").read_text(encoding="utf-8"),
        store="\n".join(_stored(run, number, photo) for number, photo in enumerate(look.photos)),
        count="1 photo" if count == 1 else f"{count} photos",
        contents="\n".join(_entry(run, number, photo) for number, photo in enumerate(look.photos)),
        example=_example(run, look.photos),
        lrn=_LRN.get(lrn, _LRN["identity"]),
        classes=f"{look.network.classes:,}",
        card=_card(look),
        filters=_filters(run, look),
        photos="\n\n".join(_photo(run, number, photo) for number, photo in enumerate(look.photos)),
        skipped=_skipped(look.skipped),
        photo_sources=_photo_sources(look.photos),
        made=_made(run, look),
        exact_side=EXACT_SIDE,
    )


def _uri(run: Run, name: str, exact: bool = False) -> str:
    return picture_uri(run.image(name.removesuffix(".png")), exact)


def _size(run: Run, photo: Photo) -> tuple[int, int]:
    height, width = run.image(photo.view.removesuffix(".png")).shape[:2]
    return height, width


def _stored(run: Run, number: int, photo: Photo) -> str:
    """The photo as the page's many small pictures refer to it, so that it is in the file once."""
    height, width = _size(run, photo)
    return f'<image id="view-{number}" width="{width}" height="{height}" href="{_uri(run, photo.view)}"/>'


def _entry(run: Run, number: int, photo: Photo) -> str:
    height, width = _size(run, photo)
    guess = ""
    if photo.predictions:
        name, probability = photo.predictions[0]
        guess = f"<small>{escape(name)}, {_percent(probability)}</small>"
    return (
        f'<li><a href="#photo-{number}"><svg viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<use href="#view-{number}"/></svg><strong>{escape(photo.name)}</strong>{guess}</a></li>'
    )


def _example(run: Run, photos: tuple[Photo, ...]) -> str:
    """One unit with its three pictures explained: the strongest of the last layer in the first photo that has any."""
    for number, photo in enumerate(photos):
        for layer in reversed(photo.layers):
            if layer.maps:
                return _explained(run, number, photo, layer, layer.maps[0])
    return ""


def _explained(run: Run, number: int, photo: Photo, layer: LayerPictures, shown: UnitPicture) -> str:
    size = _size(run, photo)
    projection, patch = _pair(run, photo, layer, shown)
    place = _locator(number, photo, size, _frame(size, [shown.box]), shown)
    return f"""<figure class="example"><div class="three">
<div>{projection}<b>Projection</b>what caused the answer</div>
<div>{patch}<b>Patch</b>all that this unit sees</div>
<div>{place}<b>Place</b>where in the photo</div>
</div>
<figcaption>An example. <b>{escape(shown.unit)}</b> is the address of a unit: {_address(shown.unit)}
Here its activation is {_number(shown.activation)}.</figcaption></figure>"""


def _address(unit: str) -> str:
    """Spell out an address such as ``conv5:17@6,4``."""
    layer, _, rest = unit.rpartition(":")
    channel, _, place = rest.partition("@")
    words = f"layer {escape(layer)}, feature map {escape(channel)}"
    if place:
        row, _, column = place.partition(",")
        words += f", at row {escape(row)} and column {escape(column)} of the map (all counted from 0)"
    return words + "."


def _card(look: Look) -> str:
    network, settings = look.network, look.settings
    height, width = network.input_size
    rows = [
        ("Name", network.name),
        ("Trained on", network.trained_on),
        ("Classes", f"{network.classes:,}"),
        ("Accuracy", network.accuracy),
        ("Parameters", f"{network.parameters:,}"),
        ("Sees", f"{height} × {width} pixels"),
        ("Weights", network.weights),
        ("Layers shown", ", ".join(str(layer) for layer in settings.get("layers", ()))),
    ]
    return "\n".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)


def _filters(run: Run, look: Look) -> str:
    if not look.filters:
        return ""
    return (
        f'<figure class="filters"><img class="pixels" src="{_uri(run, look.filters, exact=True)}" '
        'alt="The filters of the first layer, each a small square of colours">'
        "<figcaption>The filters of the first layer: the patterns that its feature maps search for. "
        "Mid-grey is zero; each filter has its own scale.</figcaption></figure>"
    )


def _photo(run: Run, number: int, photo: Photo) -> str:
    size = _size(run, photo)
    source = f'<p class="source">{escape(photo.source)}</p>' if photo.source else ""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f'<td><span class="rail"><span class="bar" style="width:{100 * _share(probability):.2f}%"></span></span></td>'
        f'<td class="number">{_percent(probability)}</td></tr>'
        for name, probability in photo.predictions
    )
    layers = "\n".join(_layer(run, number, photo, size, layer) for layer in photo.layers)
    pixels = ' class="pixels"' if max(size) <= 160 else ""
    return f"""<section class="photo" id="photo-{number}">
<h2>{escape(photo.name)}</h2>
{source}
<div class="photo-head">
<figure><img{pixels} src="{_uri(run, photo.view)}" alt="{escape(photo.name)}, as the network sees it">
<figcaption>As the network sees it, {size[0]} × {size[1]}</figcaption></figure>
<div><h3>What the network takes it for</h3>
<table class="guesses"><tbody>
{rows}
</tbody></table></div>
</div>
{layers}
<p class="up"><a href="#contents">Back to the photos</a></p>
</section>"""


def _layer(run: Run, number: int, photo: Photo, size: tuple[int, int], layer: LayerPictures) -> str:
    field = layer.receptive_field
    words = f"Each unit sees {field} × {field} pixels."
    if layer.maps and any(not shown.box.inside(*size) for shown in layer.maps):
        words += " Where that reaches beyond the photo, the patch is filled."
    frame = _frame(size, [shown.box for shown in layer.maps])
    maps = "\n".join(_map(run, number, photo, size, frame, layer, shown) for shown in layer.maps)
    body = f'<div class="maps{" tiny" if field <= _TINY else ""}">\n{maps}\n</div>'
    if not layer.maps:
        body = '<p class="none">No map of this layer is active in this photo.</p>'
    return f"""<div class="layer">
<div class="layer-head"><h3>{escape(layer.name)}</h3><p>{words} Left the projection, right the patch.</p></div>
{body}
</div>"""


def _map(
    run: Run, number: int, photo: Photo, size: tuple[int, int], frame: Box, layer: LayerPictures, shown: UnitPicture
) -> str:
    if shown.scale is None:
        scale = ""
    elif shown.scale == 0:
        scale = "<span>nothing comes back</span>"
    else:
        scale = f"<span>scale ±{_number(shown.scale)}</span>"
    projection, patch = _pair(run, photo, layer, shown)
    return (
        f'<figure class="map"><div class="pair">{projection}{patch}</div>'
        f"<figcaption>{_locator(number, photo, size, frame, shown)}"
        f"<div><b>{escape(shown.unit)}</b><span>activation {_number(shown.activation)}</span>{scale}</div>"
        "</figcaption></figure>"
    )


def _pair(run: Run, photo: Photo, layer: LayerPictures, shown: UnitPicture) -> tuple[str, str]:
    projection = _picture(run, shown.projection, layer, f"Projection of {shown.unit} in {photo.name}")
    return projection, _picture(run, shown.patch, layer, f"Patch of {photo.name} that {shown.unit} sees")


def _picture(run: Run, name: str, layer: LayerPictures, alt: str) -> str:
    pixels = ' class="pixels"' if layer.receptive_field <= _PIXELATED else ""
    return f'<img{pixels} src="{_uri(run, name)}" alt="{escape(alt)}">'


def _frame(size: tuple[int, int], boxes: list[Box]) -> Box:
    """The smallest rectangle that holds the photo and every box, so that a layer's locating pictures are alike."""
    return Box(
        min([0, *(box.top for box in boxes)]),
        min([0, *(box.left for box in boxes)]),
        max([size[0], *(box.bottom for box in boxes)]),
        max([size[1], *(box.right for box in boxes)]),
    )


def _locator(number: int, photo: Photo, size: tuple[int, int], frame: Box, shown: UnitPicture) -> str:
    """The photo, small, with the receptive field marked; both lie in ``frame``."""
    box = shown.box
    edge = 0.02 * max(frame.height, frame.width)  # room for the line
    view = f"{frame.left - edge:g} {frame.top - edge:g} {frame.width + 2 * edge:g} {frame.height + 2 * edge:g}"
    place = f'x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}"'
    label = (
        f"{shown.unit} sees rows {box.top} to {box.bottom - 1} and columns {box.left} to {box.right - 1} "
        f"of {photo.name}, which has {size[0]} rows and {size[1]} columns"
    )
    return (
        f'<svg class="locator" viewBox="{view}" role="img" aria-label="{escape(label)}"><use href="#view-{number}"/>'
        f'<rect class="halo" {place}/><rect class="field" {place}/></svg>'
    )


def _skipped(skipped: tuple[tuple[str, str], ...]) -> str:
    if not skipped:
        return ""
    items = "\n".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in skipped)
    return f'<section id="skipped">\n<h2>Left out</h2>\n<ul>\n{items}\n</ul>\n</section>\n'


def _photo_sources(photos: tuple[Photo, ...]) -> str:
    named = [photo for photo in photos if photo.source]
    if not named:
        return ""
    items = "\n".join(f"<li>{escape(photo.name)}: {escape(photo.source)}</li>" for photo in named)
    return f'<p>The photos:</p>\n<ul class="references">\n{items}\n</ul>'


def _made(run: Run, look: Look) -> str:
    return escape(
        _MADE.format(
            version=run.manifest.get("deconvnet", "unknown"),
            date=str(run.manifest.get("created", ""))[:10],
            rule=look.settings.get("rule", "deconvnet"),
            unpool=look.settings.get("unpool", "sum"),
            lrn=look.settings.get("lrn", "identity"),
        )
    )


def _share(probability: float) -> float:
    return min(max(probability, 0.0), 1.0) if isfinite(probability) else 0.0


def _percent(probability: float) -> str:
    """A probability in percent, such as ``83.1 %``; what would round to nothing is ``< 0.1 %``."""
    if not isfinite(probability):
        return "unknown"
    return "< 0.1 %" if 0 < probability < 0.0005 else f"{100 * probability:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+")
