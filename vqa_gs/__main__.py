"""`python -m vqa_gs COMMAND ...` is `vqa-gs COMMAND ...`; launchers of several processes take it by this name."""

import sys

from vqa_gs.cli import main

if __name__ == "__main__":
    sys.exit(main())
