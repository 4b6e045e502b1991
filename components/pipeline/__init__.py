"""The registry of steps and the machinery that executes one of them."""
