"""The scoring rules, one a file, found by name through `vqa_gs.eval.rules.RULES`."""
