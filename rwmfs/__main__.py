"""``python -m rwmfs``."""

from rwmfs.cli import main

if __name__ == "__main__":
    main()
