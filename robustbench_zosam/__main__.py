"""`python -m robustbench_zosam`: the command line, where no script is on the path."""

import sys

from robustbench_zosam.cli import main

if __name__ == "__main__":
    sys.argv[0] = "zosam-robust"  # in help, in completion and in the stored command
    main()
