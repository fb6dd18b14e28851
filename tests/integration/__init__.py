"""Tests through the Python API, on SQLite, PostgreSQL and MariaDB."""
