"""Readings that nobody hears."""
