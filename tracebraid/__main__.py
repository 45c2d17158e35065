"""`python -m tracebraid`."""

from tracebraid.jobs.main import main

if __name__ == "__main__":
    main()
