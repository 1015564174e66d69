"""Suites: what a run is tested on, read from one file, each set of questions answered once and looked at from all sides."""
