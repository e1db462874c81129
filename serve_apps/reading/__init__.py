"""One study through one version: fetch, prepare, forward, answer."""
