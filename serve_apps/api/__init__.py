"""The wire: routes, schemas, keys, problems, and what is pushed to us."""
