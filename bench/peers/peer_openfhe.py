"""OpenFHE: one image, encrypted or plaintext model. It has no networks of its own: layers are generalized diagonals with baby and giant steps."""

import numpy as np

from common import Absent, layers


def power_of_two(n):
    return 1 << (n - 1).bit_length()


class Peer:
    name = "openfhe"

    def __init__(self, network, batch, encrypted, threads):
        try:
            import openfhe
        except ImportError as error:
            raise Absent(f"openfhe is not installed ({error}): pip install openfhe") from error
        if batch > 1:
            raise Absent("this harness lays out one image a ciphertext: no batch")
        self.library, self.encrypted = openfhe, encrypted
        self.layers = layers(network)
        if encrypted and any(layer[0] == "affine" and min(layer[1].shape) > 256 for layer in self.layers):
            raise Absent(f"{network}: too many diagonals for an encrypted model in memory")
        self.width = max(power_of_two(size) for layer in self.layers if layer[0] == "affine" for size in layer[1].shape)
        parameters = openfhe.CCParamsCKKSRNS()
        parameters.SetMultiplicativeDepth(len(self.layers))
        parameters.SetScalingModSize(40)
        parameters.SetFirstModSize(50)
        parameters.SetBatchSize(self.width)
        parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
        self.context = openfhe.GenCryptoContext(parameters)
        for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE", "ADVANCEDSHE"):
            self.context.Enable(getattr(openfhe.PKESchemeFeature, feature))
        self.keys = self.context.KeyGen()
        self.context.EvalMultKeyGen(self.keys.secretKey)
        self.prepared, rotations = [], set()
        for layer in self.layers:
            self.prepared.append(self.prepare(layer, rotations) if layer[0] == "affine" else None)
        self.context.EvalRotateKeyGen(self.keys.secretKey, sorted(rotations))
        self.conditions = f"N = {self.context.GetRingDimension()}, depth {len(self.layers)}, scales of 40 bits"

    def operand(self, values):
        plain = self.context.MakeCKKSPackedPlaintext(list(values))
        return self.context.Encrypt(self.keys.publicKey, plain) if self.encrypted else plain

    def prepare(self, layer, rotations):
        """Diagonals of the matrix, repeated over all slots, rotated back by their giant step."""
        matrix, bias = layer[1], layer[2]
        height, width = power_of_two(matrix.shape[0]), self.width
        padded = np.zeros((height, width))
        padded[: matrix.shape[0], : matrix.shape[1]] = matrix
        slots = np.arange(width)
        baby = 1 << (height.bit_length() // 2)
        giants = []
        for giant in range(0, height, baby):
            rows = []
            for step in range(min(baby, height - giant)):
                diagonal = padded[slots % height, (slots + giant + step) % width]
                rows.append(self.operand(np.roll(diagonal, giant)))
            giants.append((giant, rows))
        folds = [height << i for i in range((width // height).bit_length() - 1)]
        rotations.update([step for step in range(1, baby)] + [giant for giant, _ in giants if giant] + folds)
        whole = np.zeros(width)
        whole[: len(bias)] = bias
        return giants, folds, self.operand(whole)

    def encrypt(self, images):
        vector = np.zeros(self.width)
        vector[: images.size] = images.reshape(-1)
        return self.context.Encrypt(self.keys.publicKey, self.context.MakeCKKSPackedPlaintext(list(vector)))

    def evaluate(self, vector):
        context = self.context
        for layer in self.prepared:
            if layer is None:
                vector = context.EvalMult(vector, vector)
                continue
            giants, folds, bias = layer
            baby = [vector] + [context.EvalRotate(vector, step) for step in range(1, len(giants[0][1]))]
            total = None
            for giant, rows in giants:
                part = None
                for operand, rotated in zip(rows, baby):
                    product = context.EvalMult(rotated, operand)
                    part = product if part is None else context.EvalAdd(part, product)
                part = context.EvalRotate(part, giant) if giant else part
                total = part if total is None else context.EvalAdd(total, part)
            for fold in folds:
                total = context.EvalAdd(total, context.EvalRotate(total, fold))
            vector = context.EvalAdd(total, bias)
        return vector

    def decrypt(self, vector):
        plain = self.context.Decrypt(vector, self.keys.secretKey)
        return np.array([plain.GetRealPackedValue()[: self.layers[-1][2].size]])
