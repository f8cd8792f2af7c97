"""The run directory: ``manifest.json`` beside arrays (safetensors), tables (JSON) and pictures (PNG).

An experiment creates a run, saves into it and finishes it; figures and reports open it, without torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from deconvnet.errors import RunError
from deconvnet.runs import files

if TYPE_CHECKING:
    import numpy as np

FORMAT = "deconvnet-run"
SCHEMA = 2
MANIFEST = "manifest.json"


class Manifest(Mapping[str, Any]):
    """What a run is: a read-only mapping, stored as ``manifest.json``.

    Its keys are ``format`` (always ``"deconvnet-run"``), ``schema`` (an integer, 2), ``kind`` (``"mine"``,
    ``"train"``, ...), ``created`` (UTC, ISO 8601), ``deconvnet`` (the version that made it), ``settings`` and
    ``inputs`` (mappings: what was asked for, and of which weights and photos), ``finished`` (a boolean), and once
    finished ``finished_at``. ``places`` says where things outside the run lay, and ``shards`` into how many parts its
    work is divided; neither decides the result. Keys that a reader does not know are kept.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = dict(content)

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return f"Manifest({self._content!r})"

    @classmethod
    def new(
        cls,
        kind: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        where: Path,
        notes: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """The manifest of a run that starts now; ``where`` is only named in errors."""
        content = {
            **(notes or {}),
            "format": FORMAT,
            "schema": SCHEMA,
            "kind": kind,
            "created": _now(),
            "deconvnet": _version(),
            "settings": dict(settings),
            "inputs": dict(inputs),
            "finished": False,
        }
        return cls(json.loads(files.to_json(content, where)))  # as it will be read: tuples are lists, paths are texts

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of the run in ``folder``.

        Raises
        ------
        RunError
            If ``folder`` is missing or not a run, or its manifest is damaged or of a newer schema.
        """
        if not folder.exists():
            raise RunError(f"there is no run {folder}: check the path.")
        path = folder / MANIFEST
        if not path.is_file():
            raise RunError(f"{folder} is not a run: it has no {MANIFEST}.")
        content = files.read_json(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise RunError(f"{folder} is not a run of deconvnet: its {MANIFEST} does not say so.")
        schema = content.get("schema")
        if not isinstance(schema, int):
            raise RunError(f"{path} is damaged (no schema number): make the run again.")
        if schema > SCHEMA:
            raise RunError(
                f"{folder} was made by a newer deconvnet (run schema {schema}, this one knows {SCHEMA}): "
                "update deconvnet to open it."
            )
        wanted = {"kind": str, "created": str, "settings": dict, "inputs": dict, "finished": bool}
        for key, form in wanted.items():
            if not isinstance(content.get(key), form):
                raise RunError(f"{path} is damaged ({key!r} is missing or of a wrong type): make the run again.")
        return cls(content)

    def changed(self, **keys: Any) -> Manifest:
        """A copy with other values for ``keys``."""
        return Manifest({**self._content, **keys})


class Run:
    """A run directory, opened or being written.

    Make one with `Run.create` or `Run.open`. Names of things in it are plain (``"top"``) or lie in folders
    (``"tiles/conv5-17"``), without file endings.

    Attributes
    ----------
    path : Path
        The directory.
    manifest : Manifest
        What it is.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, kind={self.kind!r}, finished={self.finished})"

    @property
    def kind(self) -> str:
        """``"mine"``, ``"look"``, ``"train"``, ..."""
        return self.manifest["kind"]

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for."""
        return self.manifest["settings"]

    @property
    def inputs(self) -> dict[str, Any]:
        """Of which weights, photos and the like."""
        return self.manifest["inputs"]

    @property
    def finished(self) -> bool:
        """Whether `finish` was called: everything is there."""
        return self.manifest["finished"]

    def place(self, name: str) -> str | None:
        """Where a thing outside the run lies, as an absolute path or address, or None if the run does not say.

        A path that was written down relative to the run's folder counts first if there is something, so that a run may
        be moved together with what lies beside it.
        """
        places: dict[str, Any] = self.manifest.get("places") or {}
        relative = places.get(f"{name}_relative")
        if relative is not None:
            beside = self.path / relative
            if beside.exists():
                return str(beside.resolve())
        return places.get(name)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        kind: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        *,
        notes: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        resume: bool = False,
    ) -> Run:
        """Start a run in a new or empty folder, or go on with one.

        Parameters
        ----------
        path : path
            The directory; missing folders above it are made.
        kind : str
            ``"mine"``, ``"look"``, ``"train"``, ...
        settings, inputs : mapping
            Everything that decides the result, in forms that JSON knows: what was asked for, and of which weights
            and photos (names and hashes).
        notes : mapping, optional
            Further keys of the manifest, which do not decide the result: ``places``, ``shards``. A run that is gone on
            with keeps those that it has.
        overwrite : bool
            Remove **everything** in ``path`` first if it holds a run of the same kind.
        resume : bool
            Go on with the run in ``path`` if it is of the same kind, settings and inputs, and keep what it holds.
            The run may be finished already: see ``Run.finished``. A new or empty folder starts a new run.

        Raises
        ------
        RunError
            If ``path`` is a file, a non-empty folder that is not a run, or a run that may not be gone on with or
            replaced; if the folder cannot be written; if both ``overwrite`` and ``resume`` are asked for.
        """
        path = Path(path)
        if overwrite and resume:
            raise RunError(f"{path} cannot be both overwritten and resumed: choose one.")
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file, and a run needs a folder: choose another place.")
        new = Manifest.new(kind, settings, inputs, path / MANIFEST, notes)
        if not _empty(path):
            if not (path / MANIFEST).is_file():
                raise RunError(f"{path} is not empty and not a run: choose a new or empty folder.")
            old = Manifest.read(path)
            if old["kind"] != kind:
                raise RunError(f"{path} holds a run of kind {old['kind']!r}, not {kind!r}: choose another folder.")
            half_cleared = bool(old.get("clearing"))
            if resume and not half_cleared:
                _refuse_others(path, old, new)
                _remove_partial(path)
                return cls(path, old)
            if not overwrite and not half_cleared:
                raise RunError(f"{path} holds a {kind} run already: resume it, overwrite it or choose another folder.")
            # Killed from here on, the folder is a half-cleared run, and no later one takes up what is left in it.
            files.write_json(path / MANIFEST, dict(new.changed(clearing=True)))
            _clear(path)
        files.write_json(path / MANIFEST, dict(new))
        return cls(path, new)

    @classmethod
    def open(cls, path: str | os.PathLike[str], kind: str | None = None) -> Run:
        """Open a run to read it.

        Parameters
        ----------
        path : path
            The directory.
        kind : str, optional
            Refuse a run of another kind.

        Raises
        ------
        RunError
            If ``path`` is missing, not a run, damaged, of a newer schema, or of another kind.
        """
        path = Path(path)
        run = cls(path, Manifest.read(path))
        if kind is not None:
            run.check_kind(kind)
        return run

    def check_kind(self, kind: str) -> None:
        """Refuse a run of another kind.

        Raises
        ------
        RunError
            If it is of another kind.
        """
        if self.kind != kind:
            raise RunError(f"{self.path} is a run of kind {self.kind!r}, and one of kind {kind!r} is needed.")

    def save_arrays(
        self, name: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
    ) -> None:
        """Store named arrays as ``NAME.safetensors``."""
        files.write_arrays(self._file(name, ".safetensors"), arrays, metadata)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays stored under ``name``; `RunError` if they are missing or damaged."""
        return files.read_arrays(self._file(name, ".safetensors"))

    def holds_arrays(self, name: str) -> bool:
        """Whether arrays are stored under ``name``."""
        return self._file(name, ".safetensors").is_file()

    def save_json(self, name: str, content: Any) -> None:
        """Store plain content as ``NAME.json``."""
        files.write_json(self._file(name, ".json"), content)

    def json(self, name: str) -> Any:
        """The content stored under ``name``; `RunError` if it is missing or damaged."""
        return files.read_json(self._file(name, ".json"))

    def save_image(self, name: str, image: np.ndarray) -> None:
        """Store a picture, uint8 (height, width, 3) or (height, width), as ``NAME.png``."""
        files.write_image(self._file(name, ".png"), image)

    def image(self, name: str) -> np.ndarray:
        """The picture stored under ``name``, uint8; `RunError` if it is missing or damaged."""
        return files.read_image(self._file(name, ".png"))

    def save_picture(self, name: str, image: np.ndarray) -> None:
        """Store a picture under a name with its ending: ``.webp``, small and nearly exact, or ``.png``."""
        files.write_image(self._file(name, ""), image)

    def picture(self, name: str) -> np.ndarray:
        """The picture stored under a name with its ending, uint8; `RunError` if it is missing or damaged."""
        return files.read_image(self._file(name, ""))

    def has(self, name: str) -> bool:
        """Whether arrays, a table or a picture are stored under ``name``."""
        return any(self._file(name, ending).is_file() for ending in (".safetensors", ".json", ".png"))

    def finish(self) -> None:
        """Say in the manifest that everything is there, and when."""
        manifest = self.manifest.changed(finished=True, finished_at=_now())
        files.write_json(self.path / MANIFEST, dict(manifest))
        self.manifest = manifest

    def adopt_schema(self) -> None:
        """Say in the manifest that the run is of this schema, once an older one that was gone on with is."""
        if self.manifest["schema"] < SCHEMA:
            manifest = self.manifest.changed(schema=SCHEMA)
            files.write_json(self.path / MANIFEST, dict(manifest))
            self.manifest = manifest

    def _file(self, name: str, ending: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise RunError(f"{name!r} cannot name a thing in a run: use a plain name or folder/name.")
        if (name + ending).lower() == MANIFEST:
            raise RunError(f"{name!r} is the name of the run's own manifest: choose another.")
        return self.path.joinpath(*parts[:-1], parts[-1] + ending)


def places(out: str | os.PathLike[str], **things: str) -> dict[str, str]:
    """Where things lie, for a manifest's ``places``: absolute, and relative to the run if beside or below it.

    Parameters
    ----------
    out : path
        The run's folder, which need not exist.
    **things : str
        Absolute paths, or addresses that are not paths, by name.
    """
    found: dict[str, str] = {}
    folder = Path(out).resolve()
    for name, thing in things.items():
        found[name] = thing
        if os.path.isabs(thing) and Path(thing).resolve().is_relative_to(folder.parent):
            found[f"{name}_relative"] = Path(os.path.relpath(Path(thing).resolve(), folder)).as_posix()
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version() -> str:
    try:
        return version("deconvnet")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


def _is_partial(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(files.PARTIAL)


def _empty(folder: Path) -> bool:
    """Whether the folder is missing or holds nothing but temporary files of a killed process."""
    return not folder.exists() or all(_is_partial(path) for path in folder.iterdir())


def _remove_partial(folder: Path) -> None:
    for path in folder.rglob(f".*{files.PARTIAL}"):
        path.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == MANIFEST:
            continue
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            raise RunError(
                f"{path} could not be removed ({error.strerror or error}): remove {folder} by hand."
            ) from error


def _refuse_others(path: Path, old: Manifest, new: Manifest) -> None:
    for part in ("settings", "inputs"):
        differences = _differences(cast(dict[str, Any], old[part]), cast(dict[str, Any], new[part]))
        if differences:
            raise RunError(
                f"{path} was made with other {part} ({'; '.join(differences)}): choose another folder or overwrite it."
            )


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    def short(side: dict[str, Any], key: str) -> str:
        text = json.dumps(side[key], ensure_ascii=False) if key in side else "nothing"
        return text if len(text) <= 60 else text[:57] + "..."

    keys = [*there, *(key for key in here if key not in there)]
    missing = object()
    return [
        f"{key}: {short(there, key)} there, {short(here, key)} here"
        for key in keys
        if there.get(key, missing) != here.get(key, missing)
    ]
