"""The training core: loop, learner, networks in one or two, division, evaluation. No Ray."""
