"""The forms that a test's files may have, one a file, found by name through `vqa_gs.data.asked_set.FORMS`."""
