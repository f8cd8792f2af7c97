"""The door to photos: a folder, an archive, a data set or a single photo becomes a collection."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from deconvnet.data.decoding import SUFFIXES, is_photo
from deconvnet.data.folders import FolderStore, list_folder
from deconvnet.data.hugging_face import PREFIX, open_hugging_face
from deconvnet.data.listing import arrange, unwrap
from deconvnet.data.photos import AT_HAND, Photos
from deconvnet.data.pixels import Photo, PixelStore, check_photo
from deconvnet.data.tars import expand, is_pattern, open_shards, open_tar, shards_of
from deconvnet.data.zips import open_zip
from deconvnet.errors import DataError, OptionError

PhotosLike = (
    Photos | str | Path | Photo | Sequence[str | Path | Photo] | Sequence[tuple[str, Photo]] | Mapping[str, Photo]
)
"""Photos as users give them; `as_photos` makes a collection of them."""


def open_photos(path: str | Path) -> Photos:
    """List the photos of a folder, of a zip archive, or a single one; none is decoded yet.

    A folder may hold photos, or class folders of photos; an archive may hold either. The class is the first folder in
    a photo's path, after folders that hold everything have been left out: ``caltech-101/ant/1.jpg`` is of class
    ``ant`` if all photos lie in ``caltech-101``. Where all photos lie directly in one single folder, that is a class
    in a folder, but not in an archive (packing a folder puts its name there).

    Tar files are like zip archives; one with ``.cls`` files is a shard of a WebDataset, several of these are named by
    a pattern such as ``shard-{000..009}.tar`` or by a folder that holds them and no photos. ``hf:FOLDER`` (or
    ``hf:FOLDER#SPLIT``) is a Hugging Face dataset that ``save_to_disk`` wrote.

    Hidden files and folders, ``__MACOSX``, and files whose ending is not in `SUFFIXES` are passed over.

    Parameters
    ----------
    path : path
        A folder, a ``.zip`` or ``.tar`` file, a pattern of tar files, a photo, or ``hf:FOLDER``.

    Returns
    -------
    Photos

    Raises
    ------
    DataError
        If there is no such path, it holds no photo, it cannot be read, or the archive is damaged or encrypted.
    """
    if str(path).startswith(PREFIX):
        return open_hugging_face(str(path))
    if is_pattern(str(path)) and not os.path.exists(path):
        return open_shards(Path(path), expand(str(path)))
    path = Path(path)
    if os.path.isdir(path):
        files, folders = list_folder(path)
        if not files and (shards := shards_of(path)):
            return open_shards(path, shards)
        files, folders, inner = unwrap(files, folders)
        return arrange(path, files, folders, FolderStore(path / inner))
    if not os.path.exists(path):
        raise DataError(
            f"there is no file or folder {str(path)!r}: give a folder of photos, a .zip or .tar of one, or a photo."
        )
    if is_photo(path.name):
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"{str(path)!r} cannot be read ({error.strerror}): check its permissions.") from error
        return arrange(path.parent, {path.name: size}, set(), FolderStore(path.parent))
    if path.suffix.lower() in (".tar", ".tgz") or path.name.lower().endswith((".tar.gz", ".tar.xz", ".tar.bz2")):
        return open_tar(path)
    if path.suffix.lower() != ".zip" and not (path.is_file() and zipfile.is_zipfile(path)):
        raise DataError(
            f"{str(path)!r} is neither a folder, nor a .zip or .tar archive, nor a photo ({' '.join(SUFFIXES)}): "
            "give one of these."
        )
    return open_zip(path)


def as_photos(given: PhotosLike, names: Sequence[str] | None = None) -> Photos:
    """Photos as users give them, as a collection.

    Parameters
    ----------
    given : Photos, path, PIL image, uint8 array, or a sequence of these, or a mapping of names to them
        A path alone is what `open_photos` opens; in a sequence, a path is one photo's. Arrays are (H, W, 3) or (H, W).
        An element may be a pair: name and photo.
    names : sequence of str, optional
        Of a sequence's photos; ``photo 1``, ``photo 2`` and so on unless given, a file's path for a file.

    Returns
    -------
    Photos
        Files are read when asked for. Where two have one name, a number tells them apart: ``cat.jpg (2)``.

    Raises
    ------
    DataError
        If something in it is no photo, or a path does not exist.
    OptionError
        If the names are not as many as the photos, or the photos have their own.
    """
    if isinstance(given, Photos | str | Path):
        if names is not None:
            raise OptionError("photos of a folder or an archive have their own names: leave names out.")
        return given if isinstance(given, Photos) else open_photos(given)
    if isinstance(given, Mapping):
        names, given = list(given), list(given.values())
    elif isinstance(given, Image.Image | np.ndarray | bytes) or not isinstance(given, Iterable):
        given = [given]
    several: list[Any] = list(given)
    if names is not None and len(names) != len(several):
        raise OptionError(f"{len(names)} names were given for {len(several)} photos: give one for each.")
    found: dict[str, Photo | Path] = {}
    for number, each in enumerate(several):
        own, photo = each if isinstance(each, tuple) and len(each) == 2 else (None, each)
        if isinstance(photo, str | Path):
            own, photo = own or Path(photo).as_posix(), Path(photo)
        else:
            check_photo(photo)
        name: str = names[number] if names is not None else own or f"photo {number + 1}"
        key, again = name, 1
        while key in found:
            again += 1
            key = f"{name} ({again})"
        found[key] = cast(Photo | Path, photo)
    return Photos(
        root=AT_HAND,
        names=tuple(found),
        classes=(),
        labels=np.full(len(found), -1, np.int64),
        sizes=np.array([_size(photo) for photo in found.values()], np.int64),
        empty_classes=(),
        _store=PixelStore(found),
    )


def _size(photo: Photo | Path) -> int:
    if isinstance(photo, Path):
        return photo.stat().st_size if photo.is_file() else 0
    return photo.nbytes if isinstance(photo, np.ndarray) else photo.width * photo.height * len(photo.getbands())
