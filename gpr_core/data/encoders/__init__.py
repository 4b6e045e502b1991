"""Sparse features of items and the few directions that carry most of them."""
