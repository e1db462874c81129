"""What was accepted: queued, run, delivered."""
