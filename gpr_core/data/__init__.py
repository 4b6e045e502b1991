"""Tables, the lake, curation and point-in-time reads."""
