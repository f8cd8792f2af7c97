"""A collection of photos: a folder's, an archive's or a data set's, listed and read when needed."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deconvnet.data.decoding import check_shortest, decode, unreadable, why
from deconvnet.errors import OptionError, UnknownNameError

T = TypeVar("T")


class Store(Protocol):
    """Where the encoded photos lie. Reading keeps no state, so that threads and forked processes may share a store."""

    def read(self, name: str) -> bytes: ...

    def locate(self, name: str) -> str:
        """The photo's whole path, for messages."""
        ...


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
    _store: Store

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Photos({str(self.root)!r}: {len(self)} photos, {len(self.classes)} classes)"

    def read(self, index: int, *, shortest: int | None = None) -> NDArray[np.uint8]:
        """The photo at `index` as RGB; parameters, result and errors as in `read_photo`."""
        check_shortest(shortest)
        photo = self._read_or_skip(index, shortest)
        if isinstance(photo, UnreadablePhoto):
            raise unreadable(repr(self._store.locate(photo.name)), photo.why)
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
            return decode(self._store.read(name), shortest)
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
    check_shortest(shortest)
    return _read_ahead(photos, indices, threads, shortest, ahead or 2 * threads, then)


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
