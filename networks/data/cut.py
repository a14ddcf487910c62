"""Cuts the shipped samples out of MNIST: python networks/data/cut.py networks/mnist

The first 1,000 test images with labels, and the first 512 training images as the calibration set.
"""

import gzip
import struct
import sys
from pathlib import Path


def cut(source, count, target):
    """The first `count` items of an idx file, compressed without a time stamp."""
    raw = Path(source).read_bytes()
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    size = 1
    for length in shape[1:]:
        size *= length
    header = raw[:4] + struct.pack(f">{rank}I", count, *shape[1:])
    items = raw[4 + 4 * rank :][: count * size]
    Path(target).write_bytes(gzip.compress(header + items, 9, mtime=0))


def main():
    source, target = Path(sys.argv[1]), Path(__file__).parent
    cut(source / "t10k-images-idx3-ubyte", 1000, target / "test-images.idx3.gz")
    cut(source / "t10k-labels-idx1-ubyte", 1000, target / "test-labels.idx1.gz")
    cut(source / "train-images-idx3-ubyte", 512, target / "calibration-images.idx3.gz")


if __name__ == "__main__":
    main()
