"""Tables of published results, a JSON file each; see `vqa_gs.eval.report.published_results`."""
