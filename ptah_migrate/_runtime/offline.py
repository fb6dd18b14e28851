"""A plan as an SQL script, which gives the same schema and rows as running it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import func, literal
from sqlalchemy.schema import CreateTable

from ptah_migrate._history import History
from ptah_migrate._runtime import journal, mirror, proxies, schema, versions
from ptah_migrate._runtime.contexts import PackageContext
from ptah_migrate._runtime.databases import for_dialect
from ptah_migrate._runtime.runner import cause, describe
from ptah_migrate.errors import OfflineError, PtahMigrateError
from ptah_migrate.model import Item, Package, Plan, Seed, Step

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from ptah_migrate._runtime.surroundings import Surroundings


def script(
    plan: Plan,
    dialect: Dialect,
    packages: Mapping[str, Package],
    histories: Mapping[str, History],
    surroundings: Surroundings,
) -> str:
    """
    Return the statements of every item, each item in a transaction where the database has them.

    Raises:
        OfflineError: a revision needs a database to say what it does.

    """
    return _Script(dialect, packages, histories, surroundings).write(plan)


class _Script:
    def __init__(
        self,
        dialect: Dialect,
        packages: Mapping[str, Package],
        histories: Mapping[str, History],
        surroundings: Surroundings,
    ) -> None:
        self.dialect = dialect
        self.packages = packages
        self.histories = histories
        self.surroundings = surroundings
        self.out = io.StringIO()
        self.versions = versions.table(surroundings.version_table_schema)
        self.journal = journal.Journal(surroundings.version_table_schema)
        self.contexts: dict[str, PackageContext] = {}

    def write(self, plan: Plan) -> str:
        if not plan:
            return ""
        for table in (self.versions, self.journal.table):
            self._comment(f"{table.name}")
            self.out.write(f"{self._sql(CreateTable(table, if_not_exists=True))};\n\n")
        for statement in mirror.begun(plan, self.packages):
            self._context(plan.items[0].package).operations.execute(statement)
        for item in plan.items:
            if isinstance(item, Step):
                self._step(item)
            else:
                self._seed(item)
        return self.out.getvalue()

    def _step(self, step: Step) -> None:
        context = self._context(step.package)
        module = context.load(step.revision, step.direction)
        self._comment(f"{step.package}: running {describe(step)}")
        try:
            with proxies.transaction(context.migration):
                with context.installed():
                    getattr(module, step.direction.value)()
                self._rows(context, step)
        except PtahMigrateError:
            raise
        except Exception as error:
            raise OfflineError(
                f"revision '{step.revision.id}' of package '{step.package}' cannot be written as "
                f"SQL: {cause(error)}",
                hint="it looks at the database: run it with upgrade, "
                "or ask context.is_offline_mode() in it",
            ) from error

    def _seed(self, item: Seed) -> None:
        context = self._context(item.package)
        self._comment(f"{item.package}: {item.reason or item.kind}")
        with proxies.transaction(context.migration):
            for table in schema.named(self.packages[item.package], item.create):
                context.migration.impl.create_table(table)
            self._rows(context, item)

    def _rows(self, context: PackageContext, item: Item) -> None:
        """Write the statements that change the rows of a package, and its journal."""
        before = set(item.before)
        after = set(item.after if isinstance(item, Step) else item.rows)
        if isinstance(item, Seed) and not (before or after):
            return
        if self.packages[item.package].alembic_version:
            for statement in mirror.moved(before, after):
                context.operations.execute(statement)
        columns = self.versions.c
        execute = context.operations.execute
        for old, new in versions.moves(before, after):
            row = (columns.package == literal(item.package)) & (columns.version_num == literal(old))
            if old and new:
                execute(self.versions.update().where(row).values(version_num=new))
            elif old:
                execute(self.versions.delete().where(row))
            else:
                made = self.versions.insert().values(package=item.package, version_num=new)
                execute(made.inline())
        values = self.journal.values(item, journal.DONE)
        values["at"] = func.current_timestamp()
        values = {key: value for key, value in values.items() if value is not None}
        # inline: no NULL for the id, which PostgreSQL would take at its word.
        execute(self.journal.table.insert().values(**values).inline())

    def _context(self, name: str) -> PackageContext:
        if name not in self.contexts:
            self.contexts[name] = PackageContext(
                self.packages[name],
                self.histories[name],
                self.surroundings,
                dialect=self.dialect.name,
                output=self.out,
                transactional_ddl=for_dialect(self.dialect.name).transactional_ddl,
            )
            if self.dialect.name == "postgresql":
                # SQLAlchemy 2.0 doubles backslashes until it has asked a server.
                vars(self.contexts[name].migration.dialect)["_backslash_escapes"] = False
        return self.contexts[name]

    def _sql(self, element: CreateTable) -> str:
        return str(element.compile(dialect=self.dialect)).strip()

    def _comment(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            self.out.write(f"-- {line}\n")
