"""One small file per architecture, with how it was trained and under which licence."""
