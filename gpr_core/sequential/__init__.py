"""Next-item prediction on public sequence data: one protocol, GPR and its baselines."""
