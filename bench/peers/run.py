#!/usr/bin/env python3
"""Runs a peer and Adyton on the same network and images in turns, on this machine, and prints the ratio of their evaluation times.

    python3 bench/peers/run.py --peer helayers --network e2dm            one image, encrypted model
    python3 bench/peers/run.py --peer helayers --network mlp --batch 256
    python3 bench/peers/run.py --peer tenseal --network mlp --plain      plaintext model on both sides
    python3 bench/peers/run.py --peer openfhe --network mlp --json
"""

import argparse
import importlib
import json
import os
import resource
import sys
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=["helayers", "tenseal", "openfhe"], required=True)
    parser.add_argument("--network", choices=["mlp", "e2dm", "cryptonets"], default="mlp")
    parser.add_argument("--batch", type=int, default=1, help="images that the peer evaluates at once; ours then takes its best batch")
    parser.add_argument("--plain", action="store_true", help="plaintext model on both sides")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns; minima count")
    parser.add_argument("--adyton", type=Path, default=Path("target/release/adyton"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    # Before any library is loaded that reads it.
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    try:
        import common
    except ImportError as error:
        sys.exit(f"numpy and onnx are needed to read networks and images ({error}): pip install numpy onnx")
    try:
        module = importlib.import_module(f"peer_{args.peer}")
        peer = module.Peer(args.network, args.batch, not args.plain, args.threads)
    except common.Absent as reason:
        sys.exit(f"{args.peer} cannot take part: {reason}")
    images = common.images(args.batch)
    expected = common.in_the_clear(args.network, images)
    inputs = peer.encrypt(images)
    theirs, ours = float("inf"), None
    for turn in range(args.rounds):
        print(f"turn {turn + 1} of {args.rounds}", file=sys.stderr)
        seconds, results = common.fastest(lambda: peer.evaluate(inputs), 1 if theirs > 5 else 3)
        theirs = min(theirs, seconds)
        again = common.ours(args.adyton, args.network, args.batch, not args.plain, args.threads, 3)
        if ours is None or again["seconds_per_image"] < ours["seconds_per_image"]:
            ours = again
    error, agree = common.judge(peer.decrypt(results), expected)
    report = {
        "peer": args.peer,
        "network": args.network,
        "model": "plain" if args.plain else "encrypted",
        "threads": args.threads,
        "peer_batch": args.batch,
        "peer_seconds_per_image": theirs / args.batch,
        "peer_conditions": peer.conditions,
        "peer_error": error,
        "peer_labels_agree": agree,
        "peer_peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "adyton": ours,
        "ratio": theirs / args.batch / ours["seconds_per_image"] if error < common.LARGEST_ERROR else None,
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return
    print(
        f"{args.network}, {report['model']} model, {args.threads} threads\n"
        f"  {args.peer}: {1e3 * report['peer_seconds_per_image']:.2f} ms an image, batch {args.batch}, {peer.conditions}, "
        f"error {error:.2%} of the range, labels agree {agree:.1%}, {report['peer_peak_rss_mib']:.0f} MiB\n"
        f"  adyton: {1e3 * ours['seconds_per_image']:.2f} ms an image, batch {ours['batch']}, N = 2^{ours['log_n']}, {ours['memory_mib']:.0f} MiB"
    )
    if report["ratio"] is None:
        sys.exit(f"  no ratio: the peer's result is wrong (more than {common.LARGEST_ERROR:.0%} of the range)")
    print(f"  ratio {report['ratio']:.1f}")


if __name__ == "__main__":
    main()
