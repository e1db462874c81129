"""What must survive a crash: jobs, results, the outbox."""
