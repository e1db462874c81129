"""Traces as a view of the records: which are kept, the spans that they become, and where those are sent."""
