"""Many runs from one file: arms x seeds x datasets, trained to completion, compared in one report."""
