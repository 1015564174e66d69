"""Reports: one HTML page or Markdown file for a supervisor, twins for papers, one table for the terminal."""
