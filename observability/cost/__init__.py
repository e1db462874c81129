"""What readings cost: every paid nanosecond is some study's, or idle, load or drain, and the sum is the bill."""
