"""The sections of a report that belong to no breakdown, one a file; see `vqa_gs.eval.report.section`."""
