"""The MLflow registry: versions, aliases, signed digests, the node cache, last known good."""
