"""The API on a socket, without Ray."""
