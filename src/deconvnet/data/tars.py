"""Photos in tar files: one archive, or the shards of a WebDataset.

Tar files are not unpacked: a pass over the headers notes where each photo lies, and a photo is read from there.
A WebDataset is a set of tar files in which ``KEY.jpg`` and ``KEY.cls`` are a photo and its class
(https://github.com/webdataset/webdataset).
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deconvnet.data.decoding import LARGEST_FILE, is_photo, why
from deconvnet.data.listing import arrange, is_ignored, unwrap
from deconvnet.data.photos import Photos
from deconvnet.errors import DataError

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LARGEST_LABEL = 2**16


@dataclass(frozen=True)
class Member:
    """Where a file lies: its archive, the first byte, the number of bytes."""

    archive: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Its content."""
        if self.size > LARGEST_FILE:
            raise ValueError("it is larger than 1 GiB")
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) != self.size:
            raise ValueError("the archive is truncated")
        return content


@dataclass(frozen=True)
class TarStore:
    """Photos by name; reading keeps no state, so that threads and forked processes may share it."""

    members: dict[str, Member]

    def read(self, name: str) -> bytes:
        """The encoded photo."""
        return self.members[name].read()

    def locate(self, name: str) -> str:
        """Archive and name, for messages."""
        return f"{self.members[name].archive}:{name}"


def is_pattern(path: str) -> bool:
    """Whether a path stands for several shards, as ``shard-{000..009}.tar``."""
    return bool(_BRACES.search(path))


def expand(path: str) -> list[Path]:
    """The paths that a pattern stands for, numbers padded as its first one: one pair of braces.

    Raises
    ------
    DataError
        If the pattern counts down, has several pairs of braces, or a shard is missing.
    """
    found = list(_BRACES.finditer(path))
    first, last = int(found[0][1]), int(found[0][2])
    if len(found) > 1 or last < first:
        raise DataError(f"{path!r} cannot be read as shards: write one pair of braces, such as shard-{{000..009}}.tar.")
    width = len(found[0][1])
    start, end = found[0].span()
    paths = [Path(f"{path[:start]}{number:0{width}d}{path[end:]}") for number in range(first, last + 1)]
    for shard in paths:
        if not shard.is_file():
            raise DataError(f"there is no shard {str(shard)!r} of {path!r}: check the pattern.")
    return paths


def open_tar(path: Path) -> Photos:
    """The photos of one tar file, or, if it is a shard of a WebDataset (photos with ``.cls`` files), of that shard.

    Raises
    ------
    DataError
        If it holds no photo, is damaged, or is compressed.
    """
    files = _members(path)
    if any(name.endswith(".cls") for name in files):
        return open_shards(path, [path])
    photos = {name: member for name, member in files.items() if is_photo(name)}
    folders = {"/".join(name.split("/")[:depth]) for name in photos for depth in range(1, name.count("/") + 1)}
    kept, folders, inner = unwrap({name: member.size for name, member in photos.items()}, folders)
    return arrange(path, kept, folders, TarStore({name: photos[inner + name] for name in kept}))


def open_shards(root: Path, shards: list[Path]) -> Photos:
    """The photos of a WebDataset's shards, shard after shard.

    A photo is named by shard and key, ``shard-000/0017.jpg``; its class is the text of ``KEY.cls``.

    Raises
    ------
    DataError
        If there is no photo, a shard is damaged or compressed, or two photos have one name.
    """
    members: dict[str, Member] = {}
    labels: dict[str, str] = {}
    for shard in shards:
        files = _members(shard)
        words = {_key(name): name for name in files if name.endswith(".cls")}
        for name, member in files.items():
            if not is_photo(name):
                continue
            full = f"{shard.stem}/{name}"
            if full in members:
                raise DataError(f"two shards of {str(root)!r} have the name {shard.stem!r}: give each its own.")
            members[full] = member
            if _key(name) in words:
                labels[full] = _label(files[words[_key(name)]], f"{shard}:{words[_key(name)]}")
    if not members:
        raise DataError(f"{str(root)!r} holds no photo: a WebDataset has KEY.jpg and KEY.cls in its tar files.")
    classes = sorted(
        set(labels.values()), key=lambda text: (not text.isdecimal(), int(text) if text.isdecimal() else 0, text)
    )
    number = {name: label for label, name in enumerate(classes)}
    names = sorted(members, key=lambda name: name.split("/"))
    return Photos(
        root=root,
        names=tuple(names),
        classes=tuple(classes),
        labels=np.array([number[labels[name]] if name in labels else -1 for name in names], np.int64),
        sizes=np.array([members[name].size for name in names], np.int64),
        empty_classes=(),
        _store=TarStore(members),
    )


def shards_of(folder: Path) -> list[Path]:
    """The tar files of a folder, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".tar" and path.is_file())


def _key(name: str) -> str:
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.split('.', 1)[0]}"


def _label(member: Member, where: str) -> str:
    if member.size > _LARGEST_LABEL:
        raise DataError(f"{where} is no class: it has {member.size} bytes.")
    try:
        return member.read().decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise DataError(f"{where} is no class: {why(error)}.") from error


def _members(path: Path) -> dict[str, Member]:
    """All files of the archive by their path in it; hidden ones are left out."""
    found: dict[str, Member] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                parts = [part for part in entry.name.split("/") if part not in ("", ".")]
                if entry.isfile() and parts and not any(is_ignored(part) for part in parts):
                    found["/".join(parts)] = Member(Path(os.path.abspath(path)), entry.offset_data, entry.size)
    except (OSError, tarfile.TarError, EOFError) as error:
        if isinstance(error, OSError) and error.strerror:
            reason = why(error)
        elif _is_compressed(path):
            raise DataError(
                f"{str(path)!r} is compressed, so a photo in it cannot be found again: unpack it, or pack it as .tar."
            ) from error
        else:
            reason = why(error)
        raise DataError(
            f"{str(path)!r} is not a readable tar archive ({reason}): download or pack it again."
        ) from error
    return found


def _is_compressed(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(6)
    return start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
