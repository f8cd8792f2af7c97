"""The house stays what it is: small files and functions, one meaning for a name, one folder an experiment."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import deconvnet

ROOT = Path(str(deconvnet.__file__)).parent
FILES = sorted(ROOT.rglob("*.py"))
LINES, CODE, BRANCHES = 500, 80, 20
BRANCHING = ast.If | ast.For | ast.While | ast.Try | ast.ExceptHandler | ast.match_case  # as linters count
PARTS = {"__init__.py", "__init__.pyi", "command.py", "figure.py", "measure.py", "record.py"}


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body that hold code: no docstring, no signature."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return len({node.lineno for statement in body for node in ast.walk(statement) if hasattr(node, "lineno")})


def branches(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return sum(isinstance(node, BRANCHING) for statement in function.body for node in ast.walk(statement))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    for function in functions(ast.parse(text)):
        assert code_lines(function) <= CODE, function.name
        assert branches(function) <= BRANCHES, function.name


def test_no_class_name_twice() -> None:
    homes = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


FOLDERS = sorted(path for path in (ROOT / "experiments").iterdir() if path.is_dir() and path.name[0] != "_")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_experiment_is_one_folder_of_one_form(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names >= PARTS
