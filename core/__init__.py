"""What every package speaks of: errors, studies, identifiers, time. Imports nothing of ours."""
