"""Gradient supervision of product attention without a second derivative: for models that give their trace."""
