"""Dotted names in registrations."""

from __future__ import annotations

import os.path
from typing import Any

import pytest

from ptah_migrate.dotted import resolve
from ptah_migrate.errors import ConfigError
from tests.helpers import PackageMaker


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("os.path:join", os.path.join),
        ("os.path.join", os.path.join),
        ("os:path.join", os.path.join),
        (None, None),
        (os.path.join, os.path.join),
    ],
)
def test_resolve(name: Any, value: Any) -> None:
    """A name is looked up in either form; what is no name is itself."""
    assert resolve(name, "it") is value


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("os.path:nothing", "AttributeError: module 'posixpath' has no attribute 'nothing'"),
        ("alone", "ValueError: Empty module name"),
        ("", "ValueError: Empty module name"),
        ("broken:x", "RuntimeError: at import"),
        ("leaving:x", "SystemExit: 3"),
    ],
)
def test_what_cannot_be_imported(make_package: PackageMaker, name: str, cause: str) -> None:
    """Whatever an import raises is our error, which says what was wanted."""
    make_package("broken", init="raise RuntimeError('at import')")
    make_package("leaving", init="raise SystemExit(3)")

    with pytest.raises(ConfigError) as caught:
        resolve(name, "the models of package 'blog'")

    assert caught.value.message == (
        f"the models of package 'blog', '{name}', cannot be imported: {cause}"
    )
