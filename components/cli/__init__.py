"""The `gpr` command."""
