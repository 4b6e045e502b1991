"""Step 2: from item vectors to semantic ids and the catalog."""
