"""One thread for tiny tensors: two would mostly wait for each other on a busy machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for processes
