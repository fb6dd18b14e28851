"""The Alembic environment of ``ptah_migrate.testing.alembic_config``."""
