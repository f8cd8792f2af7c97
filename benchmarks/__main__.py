"""``python -m benchmarks``: every table, one after the other."""

from benchmarks import evolution, mining, occlusion, projection, training

if __name__ == "__main__":
    training.main()
    print()
    projection.main()
    print()
    occlusion.main()
    print()
    mining.main()
    print()
    evolution.main()
