"""Search spaces: their files, their checks, and the settings of each trial."""
