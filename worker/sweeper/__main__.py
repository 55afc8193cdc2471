"""`python -m worker.sweeper`."""

from worker.sweeper.sweep import main

if __name__ == "__main__":
    main()
