"""What a score is made of, one breakdown a file, found by name through `vqa_gs.eval.breakdown.BREAKDOWNS`."""
