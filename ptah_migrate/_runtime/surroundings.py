"""What all packages of a run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all packages of a run share: their ``-x`` arguments, attributes, schema and URL."""

    x_arguments: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    version_table_schema: str | None = None
    url: URL | None = None
