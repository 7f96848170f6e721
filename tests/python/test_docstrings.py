"""Every example in a docstring is run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import millrace
import pytest

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(millrace.__path__, "millrace.")
    if not module.name.endswith(("__main__", "._core"))
)


@pytest.mark.parametrize("name", ["millrace", *MODULES])
def test_the_examples_of(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_public_functions_and_classes_are_documented():
    missing = []
    for name in ["millrace", *MODULES]:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            value = getattr(module, public)
            is_documentable = inspect.isclass(value) or inspect.isfunction(value)
            if is_documentable and not (value.__doc__ or "").strip():
                missing.append(f"{name}.{public}")
    assert missing == []
