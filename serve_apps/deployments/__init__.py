"""The Serve deployments: the only classes that Ray Serve runs."""
