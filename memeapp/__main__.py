"""`python -m memeapp` is the command line."""

from memeapp.cli import main

if __name__ == "__main__":
    main(prog_name="memeapp")
