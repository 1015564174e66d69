"""The forms a report is written in, one a file: HTML, Markdown, CSV, LaTeX, a table for the terminal."""
