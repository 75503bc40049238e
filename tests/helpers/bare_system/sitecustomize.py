"""On the path of a process, takes from Python what Windows lacks."""

import os
import signal
import sys

for module in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[module] = None  # an import fails
for name in (
    "fork",
    "forkpty",
    "wait3",
    "wait4",
    "sched_getaffinity",
    "getuid",
    "geteuid",
    "EX_OSERR",
):
    delattr(os, name)
for name in ("pthread_sigmask", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGKILL"):
    delattr(signal, name)
