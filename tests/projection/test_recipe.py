"""The recipe of docs/projection.md for people who come from Captum, run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

captum = pytest.importorskip("captum.attr")
DOCS = Path(__file__).parents[2] / "docs" / "projection.md"


@pytest.fixture(scope="module")
def recipe() -> dict:
    section = DOCS.read_text(encoding="utf-8").split("## Coming from Captum")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict = {}
    torch.manual_seed(0)
    exec(block, names)
    return names


@pytest.mark.parametrize(
    ("rule", "method"),
    [
        ("deconvnet", captum.Deconvolution),
        ("guided", captum.GuidedBackprop),
        ("gradient", lambda model: captum.Saliency(model)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_recipe_is_attribute(recipe, rule, method):
    inputs = torch.randn((2, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    more = {"abs": False} if rule == "gradient" else {}
    expected = method(recipe["model"]).attribute(inputs.clone().requires_grad_(), target=3, **more)
    found = recipe["attribute"](inputs, target=3, rule=rule)
    assert found.shape == inputs.shape
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)
    assert found.abs().sum() > 0


def test_hidden_units_need_no_other_class(recipe):
    inputs = torch.randn((1, 3, 16, 16), generator=torch.Generator().manual_seed(2))
    found = recipe["attribute"](inputs, "7@6,4", layer="0")
    assert found.nonzero()[:, 2:].aminmax(dim=0).min.tolist() == [6, 4]
    assert found.nonzero()[:, 2:].aminmax(dim=0).max.tolist() == [8, 6]
