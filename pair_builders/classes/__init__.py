"""What regions show, and what questions and answers say of them: classes, and the words that name them."""
