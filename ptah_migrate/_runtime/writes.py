"""What records a step: statements that are written once, and compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.base import Executable
    from sqlalchemy.sql.dml import UpdateBase


class Write(NamedTuple):
    """A statement, its values, and whether it has to meet a row."""

    statement: UpdateBase
    values: Mapping[str, object]
    meets: bool = False


class Prepared(NamedTuple):
    """A statement as the driver takes it: its text, its parameters and what converts each."""

    text: str
    parameters: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    positional: bool

    def row(self, values: Mapping[str, object]) -> Any:
        """Return the values as the text wants them."""
        if self.positional:
            return tuple(
                values[name] if convert is None else convert(values[name])
                for name, convert in self.parameters
            )
        return {
            name: values[name] if convert is None else convert(values[name])
            for name, convert in self.parameters
        }


def prepare(statement: Executable, values: Mapping[str, object], dialect: Dialect) -> Prepared:
    """Compile a statement for values of these names."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(values))  # type: ignore[attr-defined]
    names = compiled.positiontup if compiled.positional else compiled.binds
    types = ((name, compiled.binds[name].type) for name in names)
    return Prepared(
        str(compiled),
        tuple((name, type_.dialect_impl(dialect).bind_processor(dialect)) for name, type_ in types),
        bool(compiled.positional),
    )
