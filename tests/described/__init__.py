"""The API against its own description, by schemathesis with every check."""
