"""The terms of the loss; a file here is a term of the training, see CONTRIBUTING.md."""
