"""`python -m hostup_async.cli` is `hostup`."""

from hostup_async.cli import main

if __name__ == "__main__":
    main()
