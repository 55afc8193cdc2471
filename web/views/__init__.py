"""Rows as people see them: plain values for the templates, and the words and formats that these use."""
