"""The GPR library: data model, tokenizer, model, objectives, decoding, simulation, evaluation."""

__all__ = ["__version__"]

__version__ = "0.1.0"
