"""``python -m ptah_migrate``: the same as the script ``ptah-migrate``."""

from __future__ import annotations

from ptah_migrate._cli import main

if __name__ == "__main__":
    main()
