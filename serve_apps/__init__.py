"""The shell: Ray Serve deployments, the HTTP API, settings and the command line."""
