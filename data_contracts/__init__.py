"""Data contracts: what every table promises, and the check that it keeps the promise."""
