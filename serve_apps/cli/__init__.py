"""The `serinus` command, one file per group of verbs."""
