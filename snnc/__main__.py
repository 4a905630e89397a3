"""``python -m snnc``."""

from snnc.cli import main

if __name__ == "__main__":
    main()
