"""What people decide about traffic."""
