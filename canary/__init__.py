"""Pure decisions: who reads which study, and when a rollout moves. Imports nothing of ours."""
