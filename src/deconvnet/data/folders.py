"""Photos in a folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from deconvnet.data.decoding import file_bytes, is_photo
from deconvnet.data.listing import is_ignored
from deconvnet.errors import DataError


@dataclass(frozen=True)
class FolderStore:
    """Photos by their path in the folder."""

    path: Path

    def read(self, name: str) -> bytes:
        """The encoded photo."""
        return file_bytes(self.path / name)

    def locate(self, name: str) -> str:
        """The whole path, for messages."""
        return str(self.path / name)


def list_folder(root: Path) -> tuple[dict[str, int], set[str]]:
    """Sizes of all photos below `root` by their relative path, and the relative paths of all folders."""
    files: dict[str, int] = {}
    folders: set[str] = set()

    def visit(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    continue
                try:
                    status = entry.stat()  # of the target, where it is a link
                except OSError:
                    continue  # a link to nothing
                if stat.S_ISDIR(status.st_mode):
                    here = (status.st_dev, status.st_ino)
                    if here not in above:  # a link to a folder above would never end
                        folders.add(prefix + entry.name)
                        visit(entry.path, f"{prefix}{entry.name}/", above | {here})
                elif stat.S_ISREG(status.st_mode) and is_photo(entry.name):
                    files[prefix + entry.name] = status.st_size

    try:
        status = root.stat()
        visit(str(root), "", frozenset({(status.st_dev, status.st_ino)}))
    except OSError as error:
        raise DataError(f"{str(error.filename)!r} cannot be read ({error.strerror}): check its permissions.") from error
    return files, folders
