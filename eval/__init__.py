"""Exact scores and the reports built on them; free of torch."""
