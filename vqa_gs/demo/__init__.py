"""The embedded world of changing priors."""
