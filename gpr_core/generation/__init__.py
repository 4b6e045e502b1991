"""Generation of ads: trie-constrained beams steered by value, and what they need of a model."""
