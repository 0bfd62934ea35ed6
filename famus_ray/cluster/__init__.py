"""Clusters: files that start them, checks of these files, and the commands that run them."""
