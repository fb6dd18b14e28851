"""Tests of the command line: words, exit codes, files."""
