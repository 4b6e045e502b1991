"""Step 1: from the lake to the corpus that everything else learns from."""
