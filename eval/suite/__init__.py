"""Suites: what a run is tested on, from one file; each set of questions is answered once."""
