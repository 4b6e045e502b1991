"""The GPR model: inputs, HSD, PTD, HTE, and its checkpoints."""
