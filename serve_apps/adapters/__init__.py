"""Ray Serve, sources and stores behind the ports that the application names."""
