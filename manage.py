#!/usr/bin/env python
"""Stillup's one command: `manage.py up` runs everything."""

import sys

from monitoring.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
