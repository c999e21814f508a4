"""``python -m rwmfs``."""

from rwmfs.cli.main import main

if __name__ == "__main__":
    main()
