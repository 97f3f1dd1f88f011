"""Figures as people read them: units, tables, pages, plots. Pure, but for the files that are written."""
