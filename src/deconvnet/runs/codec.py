"""A record as files and back: ``record.json`` and ``record.safetensors``, checked field by field against its class.

A record is a frozen dataclass. Its annotations say what the files must hold:

- ``int``, ``float``, ``bool``, ``str``, ``None``, ``Literal`` and their unions are JSON's own. A whole number lies
  within 64 bits. NaN and the infinities, for which JSON has no form, are the texts ``"NaN"``, ``"Infinity"`` and
  ``"-Infinity"``.
- tuples are lists, mappings are objects, a `deconvnet.geometry.Box` is ``[top, left, bottom, right]``, a `Unit` its
  address; nested dataclasses and typed dictionaries are objects.
- an array is stored under its path (``maps/2/logits``) in the ``.safetensors`` file; the JSON file says its type and
  shape there (``"float32 (5, 5, 10)"``).
- ``Annotated[..., "R K 3"]`` names the lengths of an array, a tuple or a mapping. A name stands for one length within
  its record, ``S-1`` for one less, ``_`` for any.

What else must fit together, a record says in a method ``check``, which raises ``ValueError``. A field that the files
lack takes its default if it has one; a field that the class does not know is refused.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, TypeVar, Union, get_args, get_origin

import numpy as np

from deconvnet.errors import DeconvnetError, RunError
from deconvnet.runs.directory import Run
from deconvnet.runs.units import Unit

NAME = "record"
"""The files of a run's record, without their endings."""
LARGEST = 2**63
"""Whole numbers lie between this and its negative."""
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TOKEN = re.compile(r"([A-Za-z]\w*)(?:([+-])(\d+))?")

R = TypeVar("R")
Path = tuple[str | int, ...]
Arrays = dict[str, np.ndarray]
Lengths = dict[str, int]


class RecordError(ValueError):
    """What in a record is not as its class says: a sentence's inside, such as ``maps[2].logits is missing``."""


def encode(record: Any, kind: type) -> tuple[dict[str, Any], Arrays]:
    """A record as plain JSON content and named arrays.

    Parameters
    ----------
    record : dataclass
    kind : type
        Its class, or one that it extends: the fields of this class are written.

    Raises
    ------
    RecordError
        If the record is not as its class says.
    """
    arrays: Arrays = {}
    return _Encoder(arrays).value(record, kind, (), {}), arrays


def decode(content: Any, arrays: Mapping[str, np.ndarray], kind: type[R]) -> R:
    """The record that `encode` took apart.

    Raises
    ------
    RecordError
        If something is missing, unknown, of a wrong type, length or shape, or does not fit together.
    """
    left = dict(arrays)
    try:
        found = _Decoder(left).value(content, kind, (), {})
    except RecursionError:
        raise RecordError("it is nested too deeply") from None
    if left:
        raise RecordError(f"there is an unknown array {_short(next(iter(left)))}")
    return found


def checked(record: R, kind: type[R]) -> R:
    """The same record, refused like one from files if it is not as its class says; raises `RecordError`."""
    return decode(*encode(record, kind), kind)


def write_record(run: Run, record: Any, kind: type, name: str = NAME) -> None:
    """Store a record in a run: ``NAME.json``, and ``NAME.safetensors`` if it holds arrays.

    Raises
    ------
    RunError
        If a file cannot be written, or the record is not as its class says.
    """
    try:
        content, arrays = encode(record, kind)
    except RecordError as error:
        raise RunError(f"the record for {run.path} could not be written: {error}.") from error
    if arrays:
        run.save_arrays(name, arrays)
    run.save_json(name, content)


def read_record(run: Run, kind: type[R], name: str = NAME) -> R:
    """The record that `write_record` stored.

    Raises
    ------
    RunError
        If a file is missing or damaged, or what it holds is not as the class says.
    """
    content = run.json(name)
    arrays = run.arrays(name) if run.holds_arrays(name) else {}
    try:
        return decode(content, arrays, kind)
    except RecordError as error:
        raise damaged(run, error) from error


def damaged(run: Run, error: Exception) -> RunError:
    """The error that tells of a record that is not as its class says."""
    return RunError(f"the record in {run.path} is damaged ({error}): make it again.")


# -- types -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _FieldType:
    name: str
    kind: Any
    required: bool


@cache
def _fields(kind: type) -> tuple[_FieldType, ...]:
    """The fields of a dataclass, a named tuple or a typed dictionary."""
    hints = typing.get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        nothing = dataclasses.MISSING
        return tuple(
            _FieldType(f.name, hints[f.name], f.default is nothing and f.default_factory is nothing)
            for f in dataclasses.fields(kind)
            if f.init
        )
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    return tuple(
        _FieldType(n, get_args(hint)[0] if n in optional else hint, n not in optional) for n, hint in hints.items()
    )


def _plain(kind: Any) -> tuple[Any, str | None]:
    """A type without its annotation, and the lengths that this names."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        return inner, next((note for note in notes if isinstance(note, str)), None)
    return kind, None


def _array_type(kind: Any) -> type[np.generic] | None:
    """The dtype of an array's annotation; None for other types."""
    if kind is np.ndarray:
        return np.generic
    if get_origin(kind) is np.ndarray:
        return get_args(get_args(kind)[1])[0]
    return None


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def _told(path: Path) -> str:
    """A path as ``maps[2].logits``."""
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f".{step}" if words else step
    return _short(words) or "the whole"


def _short(words: str) -> str:
    return words if len(words) <= 120 else words[:117] + "..."


def _seen(value: Any) -> str:
    """A value of a wrong kind, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return str(value) if abs(value) < LARGEST else "a number beyond 64 bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else repr(value[:57] + "...")
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, Sequence) else f"a {type(value).__name__}"


class _Walker:
    """What writing and reading have in common: lengths, and one path a type."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def value(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        kind, named = _plain(kind)
        dtype = _array_type(kind)
        if dtype is not None:
            return self.array(value, dtype, path, named, lengths)
        done = self._part(value, kind, path, lengths)
        if named is not None and value is not None:
            self.measure((len(value),), named, path, lengths, "entries")
        return done

    def _part(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        origin = get_origin(kind)
        if kind is Unit:
            return self.unit(value, path)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self.record(value, kind, path)
        if _is_named_tuple(kind):
            return self.named_tuple(value, kind, path, lengths)
        if typing.is_typeddict(kind):
            return self.typed_dict(value, kind, path, lengths)
        if origin in (Union, types.UnionType):
            return self.union(value, get_args(kind), path, lengths)
        if origin is Literal:
            if not any(value == each and type(value) is type(each) for each in get_args(kind)):
                known = ", ".join(map(repr, get_args(kind)))
                raise RecordError(f"{_told(path)} is {_seen(value)}, not one of {known}")
            return value
        if origin is tuple:
            return self.tuple(value, get_args(kind), path, lengths)
        if origin is list:
            return list(self.tuple(value, (*get_args(kind), Ellipsis), path, lengths))
        if origin in (dict, Mapping):
            key, inside = get_args(kind)
            return self.mapping(value, key, inside, path, lengths)
        return self.scalar(value, kind, path)

    def union(self, value: Any, kinds: tuple[Any, ...], path: Path, lengths: Lengths) -> Any:
        if value is None and type(None) in kinds:
            return None
        kinds = tuple(kind for kind in kinds if kind is not type(None))
        for number, kind in enumerate(kinds, start=1):
            try:
                return self.value(value, kind, path, lengths)
            except RecordError:
                if number == len(kinds):
                    raise
        raise RecordError(f"{_told(path)} is {_seen(value)}")

    def measure(self, sizes: tuple[int, ...], named: str, path: Path, lengths: Lengths, what: str) -> None:
        """Compare lengths with their names, and remember those that are met first."""
        tokens = named.split()
        expected = [self._expected(token, lengths) for token in tokens]
        fit = len(sizes) == len(tokens) and all(
            want is None or want == size for want, size in zip(expected, sizes, strict=True)
        )
        if not fit:
            if what == "entries":
                raise RecordError(f"{_told(path)} has {sizes[0]} entries, not {expected[0]}")
            wanted = ", ".join(
                token if want is None else str(want) for token, want in zip(tokens, expected, strict=True)
            )
            raise RecordError(f"{_told(path)} has shape {sizes}, not ({wanted})")
        for token, size in zip(tokens, sizes, strict=True):
            match = _TOKEN.fullmatch(token)
            if match and match[1] not in lengths:
                more = int(match[3] or 0) * (-1 if match[2] == "-" else 1)
                lengths[match[1]] = size - more

    def _expected(self, token: str, lengths: Lengths) -> int | None:
        if token.isdigit():
            return int(token)
        match = _TOKEN.fullmatch(token)
        if match is None or match[1] not in lengths:
            return None
        return lengths[match[1]] + int(match[3] or 0) * (-1 if match[2] == "-" else 1)

    def scalar(self, value: Any, kind: Any, path: Path) -> Any:
        """A bool, number or text as both sides have it."""
        if kind is bool and isinstance(value, bool | np.bool_):
            return bool(value)
        if kind is int and isinstance(value, int | np.integer) and not isinstance(value, bool):
            if -LARGEST <= value < LARGEST:
                return int(value)
            raise RecordError(f"{_told(path)} is a number beyond 64 bits")
        if kind is str and isinstance(value, str):
            return str(value)
        if kind is type(None) and value is None:
            return None
        if kind is Any:
            return self.anything(value, path)
        if kind is float:
            return self.number(value, path)
        words = {bool: "true or false", int: "a whole number", str: "a text", type(None): "null"}
        raise RecordError(f"{_told(path)} is {_seen(value)}, not {words.get(kind, kind)}")

    def anything(self, value: Any, path: Path) -> Any:
        """What JSON holds, of no further form."""
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, int):
            return self.scalar(value, int, path)
        if isinstance(value, float):
            return self.number(value, path)
        if isinstance(value, Mapping):
            return {str(key): self.anything(each, (*path, str(key))) for key, each in value.items()}
        if isinstance(value, Sequence):
            return [self.anything(each, (*path, i)) for i, each in enumerate(value)]
        raise RecordError(f"{_told(path)} is {_seen(value)}, for which JSON has no form")

    def number(self, value: Any, path: Path) -> Any: ...
    def array(self, value: Any, dtype: type, path: Path, named: str | None, lengths: Lengths) -> Any: ...
    def unit(self, value: Any, path: Path) -> Any: ...
    def record(self, value: Any, kind: type, path: Path) -> Any: ...
    def named_tuple(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any: ...
    def typed_dict(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any: ...
    def mapping(self, value: Any, key: Any, kind: Any, path: Path, lengths: Lengths) -> Any: ...

    def tuple(self, value: Any, kinds: tuple[Any, ...], path: Path, lengths: Lengths) -> Any:
        if not isinstance(value, list | tuple):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a list")
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) != len(value):
            raise RecordError(f"{_told(path)} has {len(value)} entries, not {len(kinds)}")
        pairs = zip(value, kinds, strict=True)
        return [self.value(each, kind, (*path, i), lengths) for i, (each, kind) in enumerate(pairs)]

    def check_array(self, array: np.ndarray, dtype: type, path: Path, named: str | None, lengths: Lengths) -> None:
        if array.dtype.hasobject or not np.issubdtype(array.dtype, dtype):
            name = {np.floating: "a type of floats", np.generic: "numbers"}.get(dtype)
            raise RecordError(f"{_told(path)} is of type {array.dtype}, not {name or np.dtype(dtype)}")
        if named is not None:
            self.measure(array.shape, named, path, lengths, "shape")


class _Encoder(_Walker):
    def number(self, value: Any, path: Path) -> Any:
        if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a number")
        value = float(value)
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    def array(self, value: Any, dtype: type, path: Path, named: str | None, lengths: Lengths) -> Any:
        if not isinstance(value, np.ndarray | np.generic):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not an array")
        value = np.asarray(value)
        self.check_array(value, dtype, path, named, lengths)
        name = "/".join(map(str, path))
        if name in self.arrays:
            raise RecordError(f"two arrays share the path {_short(name)}")
        self.arrays[name] = value
        return _array_words(value)

    def unit(self, value: Any, path: Path) -> Any:
        if not isinstance(value, Unit):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a unit")
        return str(value)

    def record(self, value: Any, kind: type, path: Path) -> Any:
        if not isinstance(value, kind):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a {kind.__name__}")
        lengths: Lengths = {}
        return {f.name: self.value(getattr(value, f.name), f.kind, (*path, f.name), lengths) for f in _fields(kind)}

    def named_tuple(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        if not isinstance(value, kind):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a {kind.__name__}")
        return self.tuple(tuple(value), tuple(f.kind for f in _fields(kind)), path, lengths)

    def typed_dict(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        _check_keys(value, kind, path)
        fields = [field for field in _fields(kind) if field.name in value]
        return {f.name: self.value(value[f.name], f.kind, (*path, f.name), lengths) for f in fields}

    def mapping(self, value: Any, key: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        if not isinstance(value, Mapping):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a mapping")
        for each in value:
            self.scalar(each, key, path)
        return {str(k): self.value(each, kind, (*path, str(k)), lengths) for k, each in value.items()}


class _Decoder(_Walker):
    def number(self, value: Any, path: Path) -> Any:
        if isinstance(value, str) and value in _SPECIAL:
            return _SPECIAL[value]
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a number")
        if (isinstance(value, int) and not -LARGEST <= value < LARGEST) or not math.isfinite(value):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not a finite number")
        return float(value)

    def array(self, value: Any, dtype: type, path: Path, named: str | None, lengths: Lengths) -> Any:
        array = self.arrays.pop("/".join(map(str, path)), None)
        if array is None:
            raise RecordError(f"the array {_told(path)} is missing")
        if value != _array_words(array):
            raise RecordError(f"{_told(path)} is said to be {_seen(value)} and is {_array_words(array)}")
        self.check_array(array, dtype, path, named, lengths)
        return array

    def unit(self, value: Any, path: Path) -> Any:
        try:
            found = Unit.parse(self.scalar(value, str, path))
        except (DeconvnetError, ValueError) as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(f"{_told(path)} is {_seen(value)}, not the address of a unit") from error
        for number in (found.channel, *(found.position or ())):
            self.scalar(number, int, path)
        return found

    def record(self, value: Any, kind: type, path: Path) -> Any:
        _check_keys(value, kind, path)
        lengths: Lengths = {}
        content = {
            f.name: self.value(value[f.name], f.kind, (*path, f.name), lengths)
            for f in _fields(kind)
            if f.name in value
        }
        try:
            made = kind(**content)
            check = getattr(made, "check", None)
            if check is not None:
                check()
        except RecordError:
            raise
        except (ValueError, DeconvnetError) as error:
            raise RecordError(f"{_told(path)}: {error}" if path else str(error)) from error
        return made

    def named_tuple(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        return kind(*self.tuple(value, tuple(f.kind for f in _fields(kind)), path, lengths))

    def typed_dict(self, value: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        _check_keys(value, kind, path)
        fields = [field for field in _fields(kind) if field.name in value]
        return {f.name: self.value(value[f.name], f.kind, (*path, f.name), lengths) for f in fields}

    def tuple(self, value: Any, kinds: tuple[Any, ...], path: Path, lengths: Lengths) -> Any:
        return tuple(super().tuple(value, kinds, path, lengths))

    def mapping(self, value: Any, key: Any, kind: Any, path: Path, lengths: Lengths) -> Any:
        if not isinstance(value, Mapping):
            raise RecordError(f"{_told(path)} is {_seen(value)}, not an object")
        return {self._key(k, key, path): self.value(each, kind, (*path, k), lengths) for k, each in value.items()}

    def _key(self, key: str, kind: Any, path: Path) -> Any:
        if kind is int:
            if not re.fullmatch(r"-?(0|[1-9]\d{0,18})", key):
                raise RecordError(f"{_told(path)} has the key {_seen(key)}, not a whole number")
            return self.scalar(int(key), int, path)
        return self.scalar(key, kind, path)


def _array_words(array: np.ndarray) -> str:
    return f"{array.dtype} ({', '.join(map(str, array.shape))})"


def _check_keys(value: Any, kind: type, path: Path) -> None:
    if not isinstance(value, Mapping):
        raise RecordError(f"{_told(path)} is {_seen(value)}, not an object")
    fields = _fields(kind)
    missing = next((f.name for f in fields if f.required and f.name not in value), None)
    if missing is not None:
        raise RecordError(f"{_told((*path, missing))} is missing")
    unknown = next((key for key in value if key not in {f.name for f in fields}), None)
    if unknown is not None:
        raise RecordError(f"{_told((*path, str(unknown)))} is unknown")
