"""TenSEAL (SEAL below): plaintext model, one image, layers as its tutorials write them."""

import numpy as np

from common import Absent, layers


class Peer:
    name = "tenseal"

    def __init__(self, network, batch, encrypted, threads):
        try:
            import tenseal
        except ImportError as error:
            raise Absent(f"tenseal is not installed ({error}): pip install tenseal") from error
        if encrypted:
            raise Absent("TenSEAL's vector-matrix product takes plaintext matrices: no encrypted model")
        if batch > 1:
            raise Absent("TenSEAL's vector layers take one image: no batch")
        self.library = tenseal
        self.layers = layers(network)
        depth = len(self.layers)
        # The largest scales of at most 40 bits that SEAL's bound for 128 bits at N = 2^13 (218) leaves.
        step = min(40, (218 - 80) // depth)
        bits = [40] + [step] * depth + [40]
        self.context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, -1, bits, n_threads=threads)
        self.context.global_scale = 2**step
        self.context.generate_galois_keys()
        self.conditions = f"N = 8192, primes of {bits} bits"

    def encrypt(self, images):
        return self.library.ckks_vector(self.context, images.reshape(-1).tolist())

    def evaluate(self, vector):
        for layer in self.layers:
            if layer[0] == "square":
                vector = vector.square()
            else:
                vector = vector.mm(layer[1].T.tolist()) + layer[2].tolist()
        return vector

    def decrypt(self, vector):
        return np.array([vector.decrypt()])
