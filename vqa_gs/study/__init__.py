"""Many runs from one declaration."""
