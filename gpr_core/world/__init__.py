"""The synthetic ad world: what people want, what they do, and what was logged of it."""
