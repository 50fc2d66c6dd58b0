"""``python -m mcodec``."""

from mcodec.cli.app import main

if __name__ == "__main__":
    main()
