"""Questions, answers and vocabularies; free of torch."""
