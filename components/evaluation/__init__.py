"""Step 7: judge the checkpoints on the next day and write the verdict."""
