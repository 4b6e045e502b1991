"""Step 3: multi-token-prediction pre-training."""
