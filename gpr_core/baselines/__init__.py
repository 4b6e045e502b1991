"""Recommenders that GPR is compared with, and the cascade that wrote the logs."""
