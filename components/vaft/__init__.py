"""Step 4: value-aware fine-tuning."""
