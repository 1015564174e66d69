"""Settings of the models, a file each, which need no torch: commands list their options without it."""
