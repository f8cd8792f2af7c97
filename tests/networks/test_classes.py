"""A class by its name or by its number, the same in every command."""

from __future__ import annotations

import pytest

from deconvnet.errors import OptionError, UnknownNameError
from deconvnet.networks.classes import class_index

CLASSES = ("ant", "bee", "cat", "dog", "eel")


def test_classes_by_name_or_number():
    assert class_index(CLASSES, "cat") == 2
    assert class_index(CLASSES, "4") == 4
    with pytest.raises(UnknownNameError, match="no class 'bea': did you mean bee"):
        class_index(CLASSES, "bea")
    with pytest.raises(UnknownNameError, match="no class '5'"):
        class_index(CLASSES, "5")
    with pytest.raises(OptionError, match="a net has 2 classes named 'crane': give a number, 0 or 2"):
        class_index(("crane", "bee", "crane", "d", "e"), "crane", "a net")


def test_a_name_that_is_a_number_goes_before_the_number():
    assert class_index(("2", "1", "0"), "2") == 0


@pytest.mark.parametrize("text", ["-1", "1.0", "", "²"])
def test_what_is_no_number_is_no_class(text):
    with pytest.raises(UnknownNameError):
        class_index(CLASSES, text)
