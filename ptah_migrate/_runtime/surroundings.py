"""What all packages of a run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


class Surroundings(NamedTuple):
    """What all packages of a run share: their ``-x`` arguments, attributes, schema and URL."""

    x_arguments: Sequence[str] = ()
    attributes: Mapping[str, Any] = {}
    version_table_schema: str | None = None
    url: URL | None = None
