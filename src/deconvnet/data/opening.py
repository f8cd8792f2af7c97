"""The door to photos: a folder, an archive, a data set or a single photo becomes a collection."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from deconvnet.data.decoding import SUFFIXES, is_photo
from deconvnet.data.folders import FolderStore, list_folder
from deconvnet.data.hugging_face import PREFIX, open_hugging_face
from deconvnet.data.listing import arrange, unwrap
from deconvnet.data.photos import Photos
from deconvnet.data.tars import expand, is_pattern, open_shards, open_tar, shards_of
from deconvnet.data.zips import open_zip
from deconvnet.errors import DataError


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
