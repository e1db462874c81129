"""What a model version reads and says, and how platform code runs it: prepare, forward, interpret."""
