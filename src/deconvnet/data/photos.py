"""Photos: reading one of any kind, and listing those of a folder or a zip archive.

A photo is a uint8 array, height x width x 3, RGB, as a viewer would show it. Colour profiles are not applied.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import stat
import struct
import zipfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError

from deconvnet.errors import DataError, OptionError, UnknownNameError

T = TypeVar("T")

__all__ = ["SUFFIXES", "Photos", "UnreadablePhoto", "open_photos", "read_many", "read_photo", "split"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the files that count as photos, in lower case; upper case counts too."""

# Only these are tried, whatever a file's name: Pillow would hand an EPS file to an external interpreter.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_LARGEST_FILE = 2**30  # bytes; no photo is larger, but a mistaken or hostile file may be
_BITS_PER_SAMPLE = 258  # TIFF 6.0, section 8
_ORIENTATION = 0x0112  # Exif 2.3, table 4: tag and values
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_photo(
    source: str | Path | bytes | bytearray | memoryview | BinaryIO, *, shortest: int | None = None
) -> NDArray[np.uint8]:
    """Read a photo of any kind as RGB.

    Grey, two-level and palette pictures become RGB; 16-bit grey is scaled to 8 bits; transparent parts are laid on
    white; CMYK is converted; an animation gives its first frame; the camera's orientation mark (Exif) is obeyed.

    Parameters
    ----------
    source : path, bytes or binary file
        The encoded picture. A file is read from where it stands to its end.
    shortest : int, optional
        The shortest side that is needed, in pixels. A large JPEG is then decoded at a half, a quarter or an eighth of
        its size, which is much faster, as long as its shortest side stays at least this long.

    Returns
    -------
    uint8 array of shape (height, width, 3)
        RGB, writable.

    Raises
    ------
    DataError
        If there is no such file, or it is empty, truncated, damaged, not a picture, or unreasonably large.
    OptionError
        If `shortest` is less than 1.
    """
    _check_shortest(shortest)
    name = repr(str(source)) if isinstance(source, str | Path) else "the given data"
    try:
        if isinstance(source, str | Path):
            encoded = _file_bytes(Path(source))
        else:
            encoded = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else source.read()
        return _decode(encoded, shortest)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file may raise anything in a decoder
        raise _unreadable(name, why(error)) from error


@dataclass(frozen=True, eq=False, repr=False)
class Photos:
    """The photos of a folder or an archive, in a fixed order; made by `open_photos`.

    It holds no open file, may be read from several threads and processes at once, and can be pickled.

    Attributes
    ----------
    root : Path
        The folder or the archive.
    names : tuple of str
        Paths inside the root with forward slashes, in order of their parts; folders that hold everything are left out.
    classes : tuple of str
        Names of the classes, sorted.
    labels : int64 array of shape (len(names),)
        Indices into `classes`; -1 for a photo without a class.
    sizes : int64 array of shape (len(names),)
        Sizes of the encoded photos in bytes.
    empty_classes : tuple of str
        Class folders that hold no photo; they are not among `classes`.
    """

    root: Path
    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    empty_classes: tuple[str, ...]
    _store: _Store

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Photos({str(self.root)!r}: {len(self)} photos, {len(self.classes)} classes)"

    def read(self, index: int, *, shortest: int | None = None) -> NDArray[np.uint8]:
        """The photo at `index` as RGB; parameters, result and errors as in `read_photo`."""
        _check_shortest(shortest)
        photo = self._read_or_skip(index, shortest)
        if isinstance(photo, UnreadablePhoto):
            raise _unreadable(repr(self._store.locate(photo.name)), photo.why)
        return photo

    def subset(self, indices: ArrayLike) -> Photos:
        """The photos at `indices` (or where a mask is true), in that order, with the same classes and labels."""
        index = np.asarray(indices)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        names = tuple(self.names[i] for i in index)
        return replace(self, names=names, labels=self.labels[index], sizes=self.sizes[index])

    def exclude(self, classes: Collection[str]) -> Photos:
        """The photos of all other classes, and those without a class; labels are counted anew.

        Raises
        ------
        UnknownNameError
            If there is no such class.
        """
        left_out = {classes} if isinstance(classes, str) else set(classes)
        for name in sorted(left_out - set(self.classes)):
            raise UnknownNameError("class", name, self.classes)
        kept = [i for i, name in enumerate(self.classes) if name not in left_out]
        relabel = np.full(len(self.classes) + 1, -2, dtype=np.int64)
        relabel[kept] = np.arange(len(kept))
        relabel[-1] = -1  # photos without a class stay
        labels = relabel[self.labels]
        rest = replace(self, classes=tuple(self.classes[i] for i in kept), labels=labels)
        return rest.subset(np.flatnonzero(labels >= -1))

    @property
    def address(self) -> str:
        """What `open_photos` finds them again by, from any folder."""
        return str(self.root) if str(self.root).startswith("hf:") else os.path.abspath(self.root)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over names and sizes: equal for an archive and the folder unpacked from it."""
        digest = hashlib.sha256()
        for name, size in zip(self.names, self.sizes, strict=True):
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0%d\n" % size)
        return digest.hexdigest()

    def _read_or_skip(self, index: int, shortest: int | None) -> NDArray[np.uint8] | UnreadablePhoto:
        name = self.names[index]
        try:
            return _decode(self._store.read(name), shortest)
        except MemoryError:
            raise
        except Exception as error:
            return UnreadablePhoto(name, why(error))


@dataclass(frozen=True)
class UnreadablePhoto:
    """A photo that could not be read.

    Attributes
    ----------
    name : str
        Its name in `Photos.names`.
    why : str
        The reason, a part of a sentence.
    """

    name: str
    why: str


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
    from deconvnet.data import hugging_face, tars

    if str(path).startswith(hugging_face.PREFIX):
        return hugging_face.open_hugging_face(str(path))
    if tars.is_pattern(str(path)) and not os.path.exists(path):
        return tars.open_shards(Path(path), tars.expand(str(path)))
    path = Path(path)
    if os.path.isdir(path):
        files, folders = _list_folder(path)
        if not files and (shards := tars.shards_of(path)):
            return tars.open_shards(path, shards)
        files, folders, inner = unwrap(files, folders)
        return arrange(path, files, folders, _Folder(path / inner))
    if not os.path.exists(path):
        raise DataError(
            f"there is no file or folder {str(path)!r}: give a folder of photos, a .zip or .tar of one, or a photo."
        )
    if path.suffix.lower() in SUFFIXES:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"{str(path)!r} cannot be read ({error.strerror}): check its permissions.") from error
        return arrange(path.parent, {path.name: size}, set(), _Folder(path.parent))
    if path.suffix.lower() in (".tar", ".tgz") or path.name.lower().endswith((".tar.gz", ".tar.xz", ".tar.bz2")):
        return tars.open_tar(path)
    if path.suffix.lower() != ".zip" and not (path.is_file() and zipfile.is_zipfile(path)):
        raise DataError(
            f"{str(path)!r} is neither a folder, nor a .zip or .tar archive, nor a photo ({' '.join(SUFFIXES)}): "
            "give one of these."
        )
    entries, folders = _list_archive(path)
    sizes = {name: entry.file_size for name, entry in entries.items()}
    files, folders, inner = unwrap(sizes, folders)
    if not inner and len(_tops(files) | _tops(folders)) == 1 and all(name.count("/") == 1 for name in files):
        inner = next(iter(_tops(files))) + "/"
        files, folders = {name.removeprefix(inner): size for name, size in files.items()}, set()
    return arrange(path, files, folders, _Archive(path, {name: entries[inner + name] for name in files}))


@overload
def read_many(
    photos: Photos,
    indices: Iterable[int],
    *,
    threads: int = 2,
    shortest: int | None = None,
    ahead: int | None = None,
    then: None = None,
) -> Iterator[tuple[int, NDArray[np.uint8] | UnreadablePhoto]]: ...
@overload
def read_many(
    photos: Photos,
    indices: Iterable[int],
    *,
    threads: int = 2,
    shortest: int | None = None,
    ahead: int | None = None,
    then: Callable[[NDArray[np.uint8]], T],
) -> Iterator[tuple[int, T | UnreadablePhoto]]: ...
def read_many(
    photos: Photos,
    indices: Iterable[int],
    *,
    threads: int = 2,
    shortest: int | None = None,
    ahead: int | None = None,
    then: Callable[[NDArray[np.uint8]], Any] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Read photos in the given order, decoding ahead in threads.

    Parameters
    ----------
    photos : Photos
    indices : iterable of int
        Which photos, in which order.
    threads : int
        Number of decoding threads.
    shortest : int, optional
        As in `read_photo`.
    ahead : int, optional
        Photos that may wait to be taken, decoded; two a thread unless given.
    then : function of a photo, optional
        Applied in the threads; what it returns is yielded instead of the photo, for example what a network sees of it.

    Yields
    ------
    index : int
    photo : uint8 array of shape (height, width, 3), or UnreadablePhoto
        `UnreadablePhoto` where the photo cannot be read.

    Raises
    ------
    OptionError
        If `threads`, `ahead` or `shortest` is less than 1; at the call, not at the first photo.
    """
    if threads < 1:
        raise OptionError(f"reading photos needs at least one thread, not threads={threads}.")
    if ahead is not None and ahead < 1:
        raise OptionError(f"at least one photo must be read ahead, not ahead={ahead}.")
    _check_shortest(shortest)
    return _read_ahead(photos, indices, threads, shortest, ahead or 2 * threads, then)


def split(labels: ArrayLike, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split photos at random into a training and a held-out set, class by class.

    Each class gives `share` of its photos, rounded, to the held-out set. A class with at least two photos has at
    least one on both sides; a class with a single one keeps it for training. A class is split the same way whichever
    other classes are there, as long as its label is the same.

    Parameters
    ----------
    labels : int array of shape (n,)
        Classes; photos without a class (-1) are treated as one more class.
    share : float
        Share of held-out photos, between 0 and 1.
    seed : int
        Equal seeds give equal splits; 0 or more.

    Returns
    -------
    train_indices, held_out_indices : int64 arrays
        Sorted; together each index from 0 to n - 1 once.

    Raises
    ------
    OptionError
        If `share` or `seed` is out of its range.
    """
    if not 0 < share < 1:
        raise OptionError(f"the held-out share must lie between 0 and 1, not {share}.")
    if seed < 0:
        raise OptionError(f"the split's seed must be 0 or more, not {seed}.")
    labels = np.asarray(labels, dtype=np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            continue
        count = min(max(math.floor(share * len(members) + 0.5), 1), len(members) - 1)
        generator = np.random.Generator(np.random.PCG64([seed, int(label) + 1]))
        # sorting random numbers, not Generator.permutation, whose algorithm numpy may change
        order = np.argsort(generator.random(len(members)), kind="stable")
        held_out[members[order[:count]]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


# Decoding


def _decode(encoded: bytes, shortest: int | None) -> NDArray[np.uint8]:
    """Decode to RGB; raises whatever Pillow raises."""
    if not encoded:
        raise ValueError("the file is empty")
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
        if shortest is not None and min(image.size) > shortest:
            # Only JPEG heeds it; the result is never smaller than asked for.
            scale = shortest / min(image.size)
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
    return np.array(rgb if turn is None else rgb.transpose(turn))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # the photo itself is fine where its Exif block is not
        return 1


def _bits(image: Image.Image) -> int:
    """Of a pixel's number in a TIFF; 0 in other formats, whose modes tell them."""
    tags = getattr(image, "tag_v2", None)
    return max(tags.get(_BITS_PER_SAMPLE, (0,))) if tags is not None else 0


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, which have no fixed range: save it with 8 or 16 bits")
    if _bits(image) > 16:
        raise ValueError("its pixels have 32 bits, which have no fixed range: save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey, in some formats and versions of Pillow held in 32 bits
        grey = np.asarray(image).astype(np.int32)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("its pixels have 32 bits, which have no fixed range: save it with 8 or 16 bits")
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")  # 65535 -> 255, rounded
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _check_shortest(shortest: int | None) -> None:
    if shortest is not None and shortest < 1:
        raise OptionError(f"the shortest side must be at least 1 pixel, not {shortest}.")


def why(error: Exception) -> str:
    """A part of a sentence, in one line, without a full stop."""
    if isinstance(error, UnidentifiedImageError):
        return f"its content is none of {', '.join(_FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _unreadable(name: str, why: str) -> DataError:
    return DataError(f"{name} is not a readable image: {why}.")


def _read_ahead(
    photos: Photos,
    indices: Iterable[int],
    threads: int,
    shortest: int | None,
    ahead: int,
    then: Callable[[NDArray[np.uint8]], Any] | None,
) -> Iterator[tuple[int, Any]]:
    def read(index: int) -> Any:
        photo = photos._read_or_skip(index, shortest)
        return photo if then is None or isinstance(photo, UnreadablePhoto) else then(photo)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="photos")
    waiting: deque[tuple[int, Future[Any]]] = deque()
    try:
        for index in indices:
            waiting.append((int(index), pool.submit(read, int(index))))
            if len(waiting) > ahead:
                first, photo = waiting.popleft()
                yield first, photo.result()
        while waiting:
            first, photo = waiting.popleft()
            yield first, photo.result()
    finally:
        pool.shutdown(cancel_futures=True)


# Listing


class _Store(Protocol):
    """Where the encoded photos lie. Reading keeps no state, so that threads and forked processes may share a store."""

    def read(self, name: str) -> bytes: ...

    def locate(self, name: str) -> str:
        """The photo's whole path, for messages."""
        ...


@dataclass(frozen=True)
class _Folder:
    path: Path

    def read(self, name: str) -> bytes:
        return _file_bytes(self.path / name)

    def locate(self, name: str) -> str:
        return str(self.path / name)


@dataclass(frozen=True)
class _Archive:
    path: Path
    entries: dict[str, zipfile.ZipInfo]

    def read(self, name: str) -> bytes:
        entry = self.entries[name]
        if entry.file_size > _LARGEST_FILE:
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
        return str(self.path / self.entries[name].filename)


def _file_bytes(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a file")  # reading from a pipe would wait for ever
    if status.st_size > _LARGEST_FILE:
        raise ValueError("it is larger than 1 GiB")
    return path.read_bytes()


def is_ignored(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _list_folder(root: Path) -> tuple[dict[str, int], set[str]]:
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


def _list_archive(path: Path) -> tuple[dict[str, zipfile.ZipInfo], set[str]]:
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


def _tops(names: Iterable[str]) -> set[str]:
    return {name.split("/", 1)[0] for name in names}


def unwrap(files: dict[str, int], folders: set[str]) -> tuple[dict[str, int], set[str], str]:
    """Leave out leading folders that hold all photos, as long as there are folders of photos in them."""
    inner = ""
    while len(_tops(files)) == 1 and any(name.count("/") >= 2 for name in files):
        top = next(iter(_tops(files))) + "/"
        files = {name.removeprefix(top): size for name, size in files.items()}
        folders = {name.removeprefix(top) for name in folders if name.startswith(top)}
        inner += top
    return files, folders, inner


def arrange(root: Path, files: dict[str, int], folders: set[str], store: _Store) -> Photos:
    if not files:
        raise DataError(
            f"{str(root)!r} holds no photo ({' '.join(SUFFIXES)}): "
            "give a folder or a .zip with photos, or with one folder of photos a class."
        )
    names = sorted(files, key=lambda name: name.split("/"))
    of = [name.split("/", 1)[0] if "/" in name else None for name in names]
    classes = sorted({name for name in of if name is not None})
    number = {name: label for label, name in enumerate(classes)}
    empty = _tops(folders) - set(classes) if classes else set()
    return Photos(
        root=root,
        names=tuple(names),
        classes=tuple(classes),
        labels=np.array([-1 if name is None else number[name] for name in of], dtype=np.int64),
        sizes=np.array([files[name] for name in names], dtype=np.int64),
        empty_classes=tuple(sorted(empty)),
        _store=store,
    )
