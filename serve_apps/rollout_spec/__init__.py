"""A rollout as its owner writes it: YAML in Argo Rollouts' words, read into the plan of `canary.rollout`."""
