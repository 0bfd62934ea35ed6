"""What a person watches: the epochs of a run, the trials of a study."""
