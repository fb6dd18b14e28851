"""The tests of ptah-migrate; `helpers` and `conftest` are what they share."""
