"""Sample photos in the public domain or under CC0, from scikit-image's own package: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deconvnet.errors import DataError


@dataclass(frozen=True, eq=False)
class SamplePhoto:
    """A photo that may be shown.

    Attributes
    ----------
    name : str
        Its name in scikit-image.
    source : str
        Who made it, and on which terms.
    pixels : ndarray of uint8, (H, W, 3)
    """

    name: str
    source: str
    pixels: NDArray[np.uint8]


SOURCES = {
    "astronaut": "Eileen Collins, by NASA; public domain",
    "chelsea": "a cat, by Stefan van der Walt; CC0",
    "coffee": "a cup of espresso, by Rachel Michetti; CC0",
    "camera": "a photographer, by Lav Varshney; CC0",
    "rocket": "launch of a Falcon 9, by SpaceX; public domain",
    "hubble_deep_field": "distant galaxies, by NASA; public domain",
    "horse": "a silhouette, by Andreas Preuss; CC0",
}


def sample_photos() -> tuple[SamplePhoto, ...]:
    """The sample photos.

    Returns
    -------
    tuple of SamplePhoto
        Seven photos, some grey (as three equal channels).

    Raises
    ------
    DataError
        If scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise DataError(
            "the sample photos come with scikit-image, which is not installed: "
            "run `pip install deconvnet[experiments]`, or give your own photos."
        ) from error
    photos = []
    for name, source in SOURCES.items():
        pixels = np.asarray(getattr(data, name)())
        if pixels.dtype == np.bool_:
            pixels = np.where(pixels, 255, 0).astype(np.uint8)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        photos.append(SamplePhoto(name, source, np.ascontiguousarray(pixels[:, :, :3])))
    return tuple(photos)
