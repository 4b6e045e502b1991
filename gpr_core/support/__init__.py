"""Support code that every other package may use: errors, configuration, seeds, hashes, files."""
