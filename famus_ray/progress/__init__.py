"""Progress on the terminal: the epochs of a run, the trials of a study."""
