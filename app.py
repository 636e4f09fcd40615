"""Start the app: `python app.py`. The same as `python -m memeapp serve` with its defaults."""

import sys

from memeapp.cli import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]], prog_name="memeapp")
