"""Photos in a zip archive, which is not unpacked."""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from deconvnet.data.decoding import LARGEST_FILE, is_photo, why
from deconvnet.data.listing import arrange, is_ignored, tops, unwrap
from deconvnet.data.photos import Photos
from deconvnet.errors import DataError


def open_zip(path: Path) -> Photos:
    """The photos of a zip archive; a single folder that holds all of them and nothing else is left out of their names.

    Raises
    ------
    DataError
        If it holds no photo, cannot be read, or is damaged or encrypted.
    """
    entries, folders = _entries(path)
    sizes = {name: entry.file_size for name, entry in entries.items()}
    files, folders, inner = unwrap(sizes, folders)
    if not inner and len(tops(files) | tops(folders)) == 1 and all(name.count("/") == 1 for name in files):
        inner = next(iter(tops(files))) + "/"
        files, folders = {name.removeprefix(inner): size for name, size in files.items()}, set()
    return arrange(path, files, folders, ZipStore(path, {name: entries[inner + name] for name in files}))


@dataclass(frozen=True)
class ZipStore:
    """Photos by name; reading keeps no state, so that threads and forked processes may share it."""

    path: Path
    entries: dict[str, zipfile.ZipInfo]

    def read(self, name: str) -> bytes:
        """The encoded photo."""
        entry = self.entries[name]
        if entry.file_size > LARGEST_FILE:
            raise ValueError("it is larger than 1 GiB")
        # ZipFile.open shares one file position among threads and forked processes; this does not. The local header
        # repeats name and extra field, whose lengths may differ from the directory's.
        with self.path.open("rb") as file:
            file.seek(entry.header_offset)
            header = file.read(30)
            if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
                raise ValueError("the archive is damaged where the photo begins")
            name_length, extra_length = struct.unpack_from("<HH", header, 26)
            file.seek(name_length + extra_length, os.SEEK_CUR)
            with zipfile.ZipExtFile(file, "r", entry) as content:
                encoded = content.read()
        if len(encoded) != entry.file_size:
            raise ValueError("the archive is truncated")
        return encoded

    def locate(self, name: str) -> str:
        """Archive and name, for messages."""
        return str(self.path / self.entries[name].filename)


def _entries(path: Path) -> tuple[dict[str, zipfile.ZipInfo], set[str]]:
    """Entries of all photos in the archive by their path in it, and the paths of all its folders."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read ({error.strerror or error}): check its permissions.") from error
    except Exception as error:  # a damaged directory may raise more than BadZipFile
        raise DataError(
            f"{str(path)!r} is not a readable zip archive ({why(error)}): download or pack it again."
        ) from error
    entries: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for entry in listed:
        name = entry.filename.replace("\\", "/")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts or any(is_ignored(part) for part in parts):  # ".." is among the ignored
            continue
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + name.endswith("/")))
        if not name.endswith("/") and is_photo(parts[-1]):
            if entry.flag_bits & 1:
                raise DataError(f"the photos in {str(path)!r} are encrypted: unpack the archive and give the folder.")
            entries["/".join(parts)] = entry
    return entries, folders
