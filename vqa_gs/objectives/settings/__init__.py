"""Settings of the terms of the loss, a file each, which need no torch: commands list their options without it."""
