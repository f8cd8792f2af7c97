"""Batches of photos, read, viewed and stacked in threads ahead of the network that looks at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from deconvnet.errors import DataError, OptionError

T = TypeVar("T")


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


def none_readable(
    root: Path | str, count: int, unreadable: Sequence[UnreadablePhoto], kind: str = "photos"
) -> DataError:
    """The refusal where photos were asked for and not one of them can be read.

    Parameters
    ----------
    root : path
        Where they lie.
    count : int
        How many were asked for.
    unreadable : sequence of UnreadablePhoto
        The first is named.
    kind : str
        What they are: ``"training photos"``.
    """
    if not count:
        return DataError(f"{root} holds no photo: give another folder.")
    why = f", {unreadable[0].name} because {unreadable[0].why}" if unreadable else ""
    return DataError(f"none of the {count} {kind} of {root} can be read{why}: give others.")


@dataclass(frozen=True, eq=False)
class PhotoBatch(Generic[T]):
    """Some photos.

    Attributes
    ----------
    indices : list of int
        Those that can be read.
    names : list of str
        Of the same.
    views : list, or what ``stack`` made of it
        What ``view`` made of the same photos.
    unreadable : dict of int to UnreadablePhoto
        Those that cannot be read and stand before the batch's last photo, by index.
    """

    indices: list[int]
    names: list[str]
    views: T
    unreadable: dict[int, UnreadablePhoto]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def size(self) -> int:
        """How many photos were asked for: readable and unreadable ones."""
        return len(self.indices) + len(self.unreadable)


@dataclass(eq=False)
class PhotoBatches(Generic[T]):
    """One pass over photos, batch by batch; made by :meth:`deconvnet.data.Photos.batches`.

    Attributes
    ----------
    total : int
        How many photos were asked for.
    count : int
        How many were readable so far.
    unreadable : list of UnreadablePhoto
        The others so far, each once.
    """

    total: int
    _source: Iterator[PhotoBatch[T]]
    _root: Path
    _keep_empty: bool
    _at_least_one: bool
    _progress: Callable[[int, int], None] | None

    def __post_init__(self) -> None:
        self.count = 0
        self.unreadable: list[UnreadablePhoto] = []
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[PhotoBatch[T]]:
        done = 0
        for batch in self._source:
            self.count += len(batch)
            for photo in batch.unreadable.values():
                if photo.name not in self._names:
                    self._names.add(photo.name)
                    self.unreadable.append(photo)
            if len(batch) or self._keep_empty:
                yield batch
            done += batch.size
            if self._progress is not None:
                self._progress(done, self.total)
        if self._at_least_one and not self.count:
            raise none_readable(self._root, self.total, self.unreadable)


def batched(
    read: Callable[[int], Any],
    names: Sequence[str],
    indices: Iterable[int],
    size: int,
    *,
    threads: int,
    ahead: int,
    stack: Callable[[list[Any]], Any] | None,
    fill: bool,
) -> Iterator[PhotoBatch[Any]]:
    """Batches of what ``read`` gives for indices; see :meth:`deconvnet.data.Photos.batches`."""
    reading = _batched(read_ahead(read, indices, threads, ahead), names, size, stack, fill)
    return reading if stack is None else one_ahead(reading)


def _batched(
    reading: Iterator[tuple[int, Any]],
    names: Sequence[str],
    size: int,
    stack: Callable[[list[Any]], Any] | None,
    fill: bool,
) -> Iterator[PhotoBatch[Any]]:
    indices: list[int] = []
    views: list[Any] = []
    unreadable: dict[int, UnreadablePhoto] = {}

    def batch() -> PhotoBatch[Any]:
        stacked = views if stack is None or not (views or not fill) else stack(views)
        return PhotoBatch(indices, [names[i] for i in indices], stacked, unreadable)

    for index, view in reading:
        if isinstance(view, UnreadablePhoto):
            unreadable[index] = view
        else:
            indices.append(index)
            views.append(view)
        if len(indices) + (0 if fill else len(unreadable)) == size:
            yield batch()
            indices, views, unreadable = [], [], {}
    if indices or unreadable:
        yield batch()


def check_ahead(threads: int, ahead: int | None) -> None:
    """Refuse to read in no thread, or no photo ahead."""
    if threads < 1:
        raise OptionError(f"reading photos needs at least one thread, not threads={threads}.")
    if ahead is not None and ahead < 1:
        raise OptionError(f"at least one photo must be read ahead, not ahead={ahead}.")


def read_ahead(
    read: Callable[[int], Any], indices: Iterable[int], threads: int, ahead: int
) -> Iterator[tuple[int, Any]]:
    """What ``read`` gives for each index, in order, computed in threads; at most ``ahead`` wait to be taken."""
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


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before is in use."""
    nothing = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: Future[T | object] = pool.submit(next, items, nothing)
            while True:
                item = waiting.result()
                if item is nothing:
                    return
                waiting = pool.submit(next, items, nothing)
                yield item  # type: ignore[misc]
    finally:
        if isinstance(items, Generator):
            items.close()
