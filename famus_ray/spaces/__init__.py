"""Search spaces: what a study searches, how it is checked, and the settings of each trial."""
