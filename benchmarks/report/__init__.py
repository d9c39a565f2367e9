"""Telling the result: as Markdown, as plots, and as a few lines for the terminal. Nothing here measures."""
