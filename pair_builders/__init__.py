"""Counterfactual pairs: which examples belong together, and which of their regions correspond."""
