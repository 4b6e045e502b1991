"""The eight pipeline steps, the runtime that executes them and the runners that schedule them."""
