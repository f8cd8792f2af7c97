"""Photos that two sets have in common, or nearly: found by normalised correlation, as the paper did (Sec. 5.2).

The paper removed 44 of Caltech-101's 9,144 photos that it found among ImageNet's by normalised correlation; it states
neither the size at which photos were compared nor the threshold. Here a photo is brought to 32 x 32 grey pixels, its
own mean is subtracted and it is divided by its length; the correlation of two photos is the product of these vectors,
from -1 to 1, and mirror images count as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from deconvnet.data import PhotoBatches, Photos
from deconvnet.errors import OptionError
from deconvnet.experiments.transfer.record import Duplicate
from deconvnet.progress import Progress, counter

SIDE = 32
THRESHOLD = 0.95
_CHUNK = 512
Pixels = npt.NDArray[np.uint8]
Thumbnails = npt.NDArray[np.float32]


def thumbnail(photo: Pixels) -> npt.NDArray[np.float32]:
    """A photo as a vector of unit length whose entries sum to zero.

    Parameters
    ----------
    photo : ndarray of uint8, (H, W, 3) or (H, W)

    Returns
    -------
    ndarray of float32, (1024,)
        Row by row; all zero for a photo of one colour, which correlates with none.
    """
    grey = Image.fromarray(photo).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=None)
    pixels = np.asarray(grey, np.float64).reshape(-1)
    pixels = pixels - pixels.mean()
    length = float(np.sqrt(pixels @ pixels))
    return (pixels / length if length > 0 else pixels).astype(np.float32)


def correlations(
    some: npt.NDArray[np.float32], others: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Normalised correlation of every two thumbnails, the larger of that with the photo and with its mirror image.

    Parameters
    ----------
    some, others : ndarray of float32, (N, 1024) and (M, 1024)
        Rows of :func:`thumbnail`.

    Returns
    -------
    ndarray of float32, (N, M)
        -1 to 1.
    ndarray of bool, (N, M)
        Whether the mirror image was the nearer one.
    """
    mirrored = some.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE * SIDE)
    plain, turned = some @ others.T, mirrored @ others.T
    return np.maximum(plain, turned), turned > plain


def find_duplicates(
    photos: Photos,
    seen: Photos,
    threshold: float = THRESHOLD,
    *,
    progress: Progress | None = None,
) -> tuple[Duplicate, ...]:
    """Photos of one set that correlate with one of another set at least as much as the threshold.

    Parameters
    ----------
    photos : Photos
        The set that is searched for duplicates.
    seen : Photos
        The set that a network was trained on; read in pieces, so that it may be large.
    threshold : float
        Above 0, at most 1.
    progress : Progress, optional
        Counts the photos of both.

    Returns
    -------
    tuple of Duplicate
        One for each photo, with the nearest photo of the other set; in the order of ``photos``. Photos that cannot be
        read are passed over.

    Raises
    ------
    OptionError
        If the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"the correlation that makes two photos one lies above 0 and is at most 1, not {threshold}.")
    total = len(photos) + len(seen)
    tell = counter(progress, "searching duplicates") or (lambda _done, _total: None)
    parts = list(_thumbnails(photos, 64, lambda done, _: tell(done, total)))
    rows = [index for part in parts for index in part.indices]
    own = np.concatenate([part.views for part in parts]) if parts else np.zeros((0, SIDE * SIDE), np.float32)
    best = np.full(len(own), -2.0, np.float32)
    nearest = np.zeros(len(own), np.int64)
    turned = np.zeros(len(own), bool)
    for batch in _thumbnails(seen, _CHUNK, lambda done, _: tell(len(photos) + done, total)):
        if not len(batch) or not len(own):
            continue
        others, columns = batch.views, np.array(batch.indices, np.int64)
        found, mirrored = correlations(own, others)
        place = found.argmax(1)
        value = found[np.arange(len(own)), place]
        better = value > best
        best[better], nearest[better] = value[better], columns[place[better]]
        turned[better] = mirrored[np.arange(len(own)), place][better]
    hits = np.flatnonzero(best >= threshold - 1e-6)  # rounding of equal photos
    return tuple(
        Duplicate(photos.names[rows[i]], seen.names[nearest[i]], float(min(best[i], 1.0)), bool(turned[i]))
        for i in hits
    )


def _thumbnails(photos: Photos, size: int, progress: Callable[[int, int], None]) -> PhotoBatches[Thumbnails]:
    """Thumbnails (N, 1024) of the photos that can be read, in batches on a fixed grid."""

    def stacked(vectors: list[Thumbnails]) -> Thumbnails:
        return np.stack(vectors) if vectors else np.zeros((0, SIDE * SIDE), np.float32)

    return photos.batches(
        thumbnail,
        size,
        stack=stacked,
        fill=False,
        threads=1,
        ahead=64,
        shortest=2 * SIDE,
        at_least_one=False,
        progress=progress,
    )
