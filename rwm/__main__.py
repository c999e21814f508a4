"""``python -m rwm``."""

from rwm.cli.main import main

if __name__ == "__main__":
    main()
