"""A page to look at pairs with."""
