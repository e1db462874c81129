"""Metrics as a view of the records: what each study adds, kept as integer counts and sums that can be added up."""
