"""`python -m cluster` is `relevance-judge`."""

from cluster.commands import main

if __name__ == "__main__":
    main()
