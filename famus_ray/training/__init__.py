"""The training core: loop, learner, one or two networks, division, evaluation. No Ray."""
