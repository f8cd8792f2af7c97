"""The package as a whole: honest names, and nothing heavy loaded before it is needed."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import deconvnet

HEAVY = ("torch", "numpy", "matplotlib", "PIL", "skimage", "safetensors")


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def public_names() -> dict[str, str]:
    """Each public name and the part of the package that the one list, ``__init__.pyi``, takes it from."""
    stub = ast.parse(Path(deconvnet.__file__).with_suffix(".pyi").read_text())
    lines = [line for line in stub.body if isinstance(line, ast.ImportFrom)]
    assert all(alias.asname == alias.name for line in lines for alias in line.names)
    return {alias.name: str(line.module) for line in lines for alias in line.names}


def test_every_public_name_resolves_and_is_where_it_says():
    assert deconvnet.__all__ == sorted(deconvnet.__all__)
    assert dir(deconvnet) == deconvnet.__all__
    for name in deconvnet.__all__:
        found = getattr(deconvnet, name)
        assert found.__name__ == name
        assert found.__module__.startswith("deconvnet.")
        assert found.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute projct"):
        _ = deconvnet.projct


def test_importing_loads_nothing_heavy():
    loaded = python("-c", "import deconvnet, sys; print(*sys.modules)").split()
    assert "deconvnet" in loaded
    assert not set(HEAVY) & set(loaded)


def test_help_loads_nothing_heavy():
    code = "import sys; from deconvnet.cli.app import run; print(run(['--help'])); print('loaded', *sys.modules)"
    said = python("-c", code)
    assert "The paper's experiments:" in said
    loaded = said[said.index("loaded ") :].split()
    assert "deconvnet.cli.train" in loaded
    assert not set(HEAVY) & set(loaded)


def test_module_tells_its_version():
    assert python("-m", "deconvnet", "--version").strip() == f"deconvnet {version('deconvnet')}"


VERBS = (
    *("ablate", "average", "build", "check_sanity", "compare", "correspond", "diagnose", "draw_maps", "draw_top_nine"),
    *("evaluate", "evolve", "load", "look", "measure_faithfulness", "measure_invariance", "mine", "occlude"),
    *("open_photos", "project", "read_parts", "read_photo", "train", "transfer", "write_look_page"),
)
NOUNS = ["receptive_fields", "recipe", "sample_photos", "strongest_units"]  # they give what they are named after


def functions():
    found = {name: getattr(deconvnet, name) for name in deconvnet.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


def test_public_functions_are_verbs():
    assert set(VERBS) | set(NOUNS) >= set(functions())
    assert set(VERBS) <= set(functions())


@pytest.mark.parametrize("name", sorted(set(deconvnet.__all__) & set(VERBS)))
def test_public_functions_have_one_progress_and_a_whole_first_line(name):
    function = functions()[name]
    document = inspect.getdoc(function) or ""
    assert document.splitlines()[0].endswith("."), name
    progress = inspect.signature(function).parameters.get("progress")
    if progress is not None:
        assert progress.annotation == "Progress | None"
        assert progress.kind is inspect.Parameter.KEYWORD_ONLY
        assert "progress : Progress, optional" in document or "progress\n" in document
