"""From curated tables to the token sequences and targets that the model reads."""
