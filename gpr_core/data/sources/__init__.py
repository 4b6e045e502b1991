"""Adapters that land public data in the lake."""
