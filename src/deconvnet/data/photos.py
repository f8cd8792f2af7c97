"""A collection of photos: a folder's, an archive's or a data set's, listed and read when needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deconvnet.data.batches import PhotoBatches, UnreadablePhoto, batched, check_ahead, read_ahead
from deconvnet.data.decoding import check_shortest, decode, unreadable, why
from deconvnet.errors import OptionError, UnknownNameError

T = TypeVar("T")
V = TypeVar("V")
Pixels = NDArray[np.uint8]

AT_HAND = Path("photos at hand")
"""The root of photos that lie in memory, or here and there."""


class Store(Protocol):
    """Where the photos lie. Reading keeps no state, so that threads and forked processes may share a store."""

    def read(self, name: str) -> bytes | Pixels:
        """The encoded photo, or the pixels where they are at hand."""
        ...

    def locate(self, name: str) -> str:
        """The photo's whole path, for messages."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Photos:
    """The photos of a folder or an archive, in a fixed order; made by `open_photos` or `as_photos`.

    It holds no open file, may be read from several threads and processes at once, and can be pickled.

    Attributes
    ----------
    root : Path
        The folder or the archive; ``photos at hand`` where there is none.
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

    @overload
    def batches(
        self,
        view: Callable[[Pixels], V],
        size: int,
        *,
        indices: Sequence[int] | ArrayLike | None = None,
        stack: None = None,
        fill: bool = True,
        threads: int = 2,
        ahead: int | None = None,
        shortest: int | None = None,
        at_least_one: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> PhotoBatches[list[V]]: ...
    @overload
    def batches(
        self,
        view: Callable[[Pixels], V],
        size: int,
        *,
        indices: Sequence[int] | ArrayLike | None = None,
        stack: Callable[[list[V]], T],
        fill: bool = True,
        threads: int = 2,
        ahead: int | None = None,
        shortest: int | None = None,
        at_least_one: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> PhotoBatches[T]: ...
    def batches(
        self,
        view: Callable[[Pixels], Any],
        size: int,
        *,
        indices: Sequence[int] | ArrayLike | None = None,
        stack: Callable[[list[Any]], Any] | None = None,
        fill: bool = True,
        threads: int = 2,
        ahead: int | None = None,
        shortest: int | None = None,
        at_least_one: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> PhotoBatches[Any]:
        """Read photos in batches, in threads ahead of what is done with them; those that cannot be read are skipped.

        Parameters
        ----------
        view : function of a photo
            What is made of each photo, in the threads: for example :meth:`deconvnet.Network.view`.
        size : int
            Photos a batch.
        indices : sequence of int, optional
            Which photos, in which order; all unless given.
        stack : function of a list of views, optional
            What is made of a batch, in a thread of its own, one batch ahead: for example the network's input. Unless
            given, a batch holds the list.
        fill : bool
            Fill a batch up with readable photos. Otherwise each next ``size`` photos are a batch, which holds those
            of them that are readable, perhaps none.
        threads : int
            Threads that read.
        ahead : int, optional
            Photos that may wait to be taken; two batches unless given.
        shortest : int, optional
            As in `read_photo`.
        at_least_one : bool
            Refuse photos none of which can be read.
        progress : callable(done, total), optional
            Counts the photos whose batch is done with, skipped ones included.

        Returns
        -------
        PhotoBatches
            To be iterated over once; it counts the photos and collects the unreadable ones.

        Raises
        ------
        OptionError
            If `size`, `threads`, `ahead` or `shortest` is less than 1; at the call.
        DataError
            If none can be read; at the end of the iteration.
        """
        if size < 1:
            raise OptionError(f"a batch has at least one photo, not {size}.")
        check_ahead(threads, ahead)
        check_shortest(shortest)
        chosen = range(len(self)) if indices is None else indices
        if not isinstance(chosen, range):
            chosen = [int(i) for i in np.asarray(chosen, np.int64).reshape(-1)]
        source = batched(
            self._reader(view, shortest),
            self.names,
            chosen,
            size,
            threads=threads,
            ahead=ahead or 2 * size,
            stack=stack,
            fill=fill,
        )
        return PhotoBatches(len(chosen), source, self.root, not fill, at_least_one, progress)

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
        """What `open_photos` finds them again by, from any folder; empty for photos at hand."""
        if self.root == AT_HAND:
            return ""
        return str(self.root) if str(self.root).startswith("hf:") else os.path.abspath(self.root)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over names and sizes: equal for an archive and the folder unpacked from it."""
        digest = hashlib.sha256()
        for name, size in zip(self.names, self.sizes, strict=True):
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0%d\n" % size)
        return digest.hexdigest()

    def _reader(self, view: Callable[[Pixels], Any] | None, shortest: int | None) -> Callable[[int], Any]:
        def read(index: int) -> Any:
            photo = self._read_or_skip(index, shortest)
            return photo if view is None or isinstance(photo, UnreadablePhoto) else view(photo)

        return read

    def _read_or_skip(self, index: int, shortest: int | None) -> NDArray[np.uint8] | UnreadablePhoto:
        name = self.names[index]
        try:
            content = self._store.read(name)
            return content if isinstance(content, np.ndarray) else decode(content, shortest)
        except MemoryError:
            raise
        except Exception as error:
            return UnreadablePhoto(name, why(error))


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
    check_ahead(threads, ahead)
    check_shortest(shortest)
    return read_ahead(photos._reader(then, shortest), indices, threads, ahead or 2 * threads)
