"""Benchmarks; each is one command that writes its result to docs/benchmarks/."""
