"""Windows and fills: which part of the photo is covered, and by what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deconvnet.errors import OptionError

Windows = npt.NDArray[np.int64]


def as_photo(photo: Tensor) -> Tensor:
    """The photo as (1, C, H, W).

    Raises
    ------
    OptionError
        If it is not one floating-point image of finite values.
    """
    if photo.dim() == 3:
        photo = photo[None]
    if photo.dim() != 4 or photo.shape[0] != 1 or not photo.is_floating_point():
        raise OptionError(
            f"a photo is a float tensor (C, H, W) or (1, C, H, W), not {photo.dtype} {tuple(photo.shape)}: "
            "prepare one for each photo."
        )
    if not torch.isfinite(photo).all():
        raise OptionError("the photo holds NaN or infinite values: check its preprocessing.")
    return photo.detach()


def as_windows(windows: Sequence[Sequence[int]] | npt.NDArray[np.integer], height: int, width: int) -> Windows:
    """Windows clipped to the photo, int64 (positions, 4): top, left, bottom, right; the last two are exclusive.

    Raises
    ------
    OptionError
        If they are not four integers each, or one is empty before it is clipped.
    """
    found = np.asarray(windows)
    if found.ndim != 2 or found.shape[1] != 4 or not np.issubdtype(found.dtype, np.integer):
        raise OptionError(
            f"windows are integers (positions, 4): top, left, bottom, right; not {found.dtype} {found.shape}."
        )
    empty = (found[:, 2] <= found[:, 0]) | (found[:, 3] <= found[:, 1])
    if empty.any():
        raise OptionError(f"window {int(empty.argmax())} is empty: bottom and right must lie beyond top and left.")
    return np.clip(found, 0, [height, width, height, width]).astype(np.int64)


def as_fill(fill: Tensor | float, photo: Tensor) -> Tensor:
    """The fill as a whole picture (C, H, W), of which each window shows its part.

    Parameters
    ----------
    fill : Tensor or float
        One value; one for each channel, (C,); or a picture (C, H, W): noise, or the blurred photo.
    photo : Tensor, (1, C, H, W)

    Raises
    ------
    OptionError
        If it is of another shape, or not finite.
    """
    _, channels, height, width = photo.shape
    value = torch.as_tensor(fill, dtype=photo.dtype, device=photo.device).detach()
    if value.dim() == 1 and len(value) == channels:
        value = value[:, None, None]
    if value.dim() not in (0, 3):
        raise OptionError(
            f"a fill is one number, one for each of the {channels} channels, or a picture {(channels, height, width)}; "
            f"not {tuple(value.shape)}."
        )
    try:
        value = value.expand(channels, height, width)
    except RuntimeError as error:
        raise OptionError(
            f"a fill of shape {tuple(value.shape)} does not fit a photo of {(channels, height, width)}."
        ) from error
    if not torch.isfinite(value).all():
        raise OptionError("the fill holds NaN or infinite values.")
    return value


def cover(photo: Tensor, windows: Windows, fill: Tensor) -> Tensor:
    """The covered photos, (positions, C, H, W)."""
    covered = photo.repeat(len(windows), 1, 1, 1)
    for one, (top, left, bottom, right) in zip(covered, windows, strict=True):
        one[:, top:bottom, left:right] = fill[:, top:bottom, left:right]
    return covered
