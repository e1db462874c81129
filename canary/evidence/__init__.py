"""What studies say for and against a candidate, as evidence that may be looked at after each of them."""
