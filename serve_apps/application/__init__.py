"""The use cases: no Ray, no HTTP, no wire types."""
