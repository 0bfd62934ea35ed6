"""One thread for tiny tensors: two would mostly wait for each other on a busy machine.

Processes that a shell starts in the background ignore Ctrl-C, and so would those that tests start.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for processes
signal.signal(signal.SIGINT, signal.default_int_handler)
