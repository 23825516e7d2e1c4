"""`python -m cluster` is `relevance-judge`."""

from cluster.cli import main

if __name__ == "__main__":
    main()
