"""Tests of one part each, without a database."""
