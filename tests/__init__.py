"""The tests are a package, so that test modules can import one another by full name (see conftest.py)."""
