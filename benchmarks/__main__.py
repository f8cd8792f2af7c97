"""``python -m benchmarks``: every table, one after the other."""

from benchmarks import projection, training

if __name__ == "__main__":
    training.main()
    print()
    projection.main()
