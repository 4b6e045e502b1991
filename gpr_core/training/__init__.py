"""Supervised and reinforcement training of the policy."""
