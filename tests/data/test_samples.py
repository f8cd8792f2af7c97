"""The sample photos: there, photos, and attributed."""

from __future__ import annotations

import numpy as np

from deconvnet.data import sample_photos


def test_seven_sample_photos_with_sources():
    photos = sample_photos()
    assert len({photo.name for photo in photos}) == 7
    for photo in photos:
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.ndim == 3
        assert photo.pixels.shape[2] == 3
        assert photo.pixels.flags.c_contiguous
        assert photo.pixels.std() > 10
        assert photo.source.endswith(("public domain", "CC0"))
