"""The embedded stack of one machine: MLflow, a Ray head and Serve, started and stopped as one thing."""
