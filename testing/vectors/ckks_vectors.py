#!/usr/bin/env python3
"""Known answers for the CKKS crates, from the textbook and the standard library alone.

Everything is done on Python integers modulo Q (or Q·P), in coefficient form, with schoolbook multiplication: no residue number
system, no NTT, none of the Rust code's conventions beyond the definitions that its documentation gives. Output: ckks.json.

    python3 testing/vectors/ckks_vectors.py > testing/vectors/ckks.json

Definitions
-----------
standard:             R = Z[X]/(X^N + 1); slot i of m is m(zeta^(5^i)), zeta = exp(2 pi i / 2N), i < N/2
conjugate-invariant:  R = the part of Z[X]/(X^2N + 1) fixed by X -> 1/X; a_0 + sum a_j (X^j + X^-j); slot i is m(zeta^(5^i)),
                      zeta = exp(2 pi i / 4N), i < N
rotation by r:        X -> X^(5^r)
ciphertext:           b + a s
evaluation key:       digit i: b_i = -a_i sigma^-1(s_R) + e_i + P g_i s', g_i = 1 mod digit i's primes and 0 mod the other primes of Q
key switch:           c -> sigma(sum d_i (b_i, a_i) + P (one, 0)) divided with rounding, d_i = c centred modulo digit i
"""

import hashlib
import json
import math
import cmath

N = 16
STEP = {"standard": 2 * N, "conjugate_invariant": 4 * N}


def stream(label):
    """Endless deterministic 64-bit integers."""
    counter = 0
    while True:
        block = hashlib.sha256(f"{label}/{counter}".encode()).digest()
        yield from (int.from_bytes(block[i : i + 8], "little") for i in range(0, 32, 8))
        counter += 1


def is_prime(n):
    if n < 2 or n % 2 == 0:
        return n == 2
    d, r = n - 1, 0
    while d % 2 == 0:
        d, r = d // 2, r + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        if base % n == 0:
            continue
        x = pow(base, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(r - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def primes(bits, count):
    """The largest primes below 2^bits that suit both rings."""
    found, candidate = [], (1 << bits) - (1 << bits) % (4 * N) + 1
    while len(found) < count:
        candidate -= 4 * N
        if is_prime(candidate):
            found.append(candidate)
    return found


def centred(x, modulus):
    x %= modulus
    return x - modulus if x > modulus // 2 else x


class TextbookRing:
    """Integer polynomials of one ring kind, as lists of N coefficients in the kind's own basis."""

    def __init__(self, kind):
        self.kind = kind
        self.order = STEP[kind]
        self.full = self.order // 2  # degree of the cyclotomic polynomial that the arithmetic happens in
        self.slots = N // 2 if kind == "standard" else N
        zeta = lambda k: cmath.exp(2j * math.pi * (k % self.order) / self.order)
        self.points = [pow(5, i, self.order) for i in range(self.slots)]
        self.zeta = zeta

    def lift(self, x):
        """To coefficients modulo X^full + 1."""
        if self.kind == "standard":
            return list(x)
        out = [0] * self.full
        out[0] = x[0]
        for j in range(1, N):
            out[j] += x[j]
            out[self.full - j] -= x[j]  # X^-j = -X^(full - j)
        return out

    def drop(self, x):
        return x[:N]

    def mul(self, x, y):
        x, y = self.lift(x), self.lift(y)
        out = [0] * self.full
        for i, xi in enumerate(x):
            for j, yj in enumerate(y):
                if i + j < self.full:
                    out[i + j] += xi * yj
                else:
                    out[i + j - self.full] -= xi * yj
        return self.drop(out)

    def automorphism(self, x, exponent):
        x = self.lift(x)
        out = [0] * self.full
        for j, xj in enumerate(x):
            place = j * exponent % self.order
            if place < self.full:
                out[place] += xj
            else:
                out[place - self.full] -= xj
        return self.drop(out)

    def rotate(self, x, r):
        return self.automorphism(x, pow(5, r % self.slots, self.order))

    def slots_of(self, x):
        x = self.lift(x)
        return [sum(c * self.zeta(p * j) for j, c in enumerate(x)).real for p in self.points]

    def encode(self, values, scale):
        """The inverse embedding by its defining sum, over all conjugates."""
        out = []
        for j in range(N):
            total = sum(v * self.zeta(-p * j).real for v, p in zip(values, self.points))
            # Each slot stands for itself and its conjugate (in the conjugate-invariant ring: an equal value).
            out.append(2 / self.full * total * scale)
        # A coefficient near a half would depend on rounding errors of the embedding: such values are no test.
        assert all(abs(c - math.floor(c) - 0.5) > 1e-4 for c in out), "choose other values"
        return [round(c) for c in out]


def add(*polys):
    return [sum(c) for c in zip(*polys)]


def neg(x):
    return [-c for c in x]


def scale_by(x, k):
    return [c * k for c in x]


def generate(kind):
    ring = TextbookRing(kind)
    random = stream(kind)
    q = primes(46, 1) + primes(40, 2)
    special = primes(45, 1)
    p = special[0]
    big_q = math.prod(q)

    ternary = lambda: [next(random) % 3 - 1 for _ in range(N)]
    noise = lambda: [next(random) % 7 - 3 for _ in range(N)]
    uniform = lambda modulus: [
        sum(next(random) << (64 * i) for i in range(4)) % modulus for _ in range(N)
    ]
    residues = lambda x, moduli: [[c % m for c in x] for m in moduli]

    def values():
        return [(next(random) % 2001 - 1000) / 1000 for _ in range(ring.slots)]

    def encrypt(message, secret, modulus):
        a = uniform(modulus)
        b = [c % modulus for c in add(message, noise(), neg(ring.mul(a, secret)))]
        return b, a

    def decrypt(b, a, secret, modulus):
        return [centred(c, modulus) for c in add(b, ring.mul(a, secret))]

    def switching_key(source, rotation, level_primes):
        modulus = math.prod(level_primes)
        target = ring.rotate(s_r, -rotation)
        digits = []
        for prime in level_primes:
            a = uniform(modulus * p)
            others = modulus // prime
            g = others * pow(others, -1, prime)
            body = add(neg(ring.mul(a, target)), noise(), scale_by(source, p * g))
            digits.append(([c % (modulus * p) for c in body], a))
        return digits

    def digits_times_key(component, key, level_primes):
        b, a = [0] * N, [0] * N
        for prime, (key_b, key_a) in zip(level_primes, key):
            digit = [centred(c, prime) for c in component]
            b, a = add(b, ring.mul(digit, key_b)), add(a, ring.mul(digit, key_a))
        return b, a

    def divide(x, modulus, divisor):
        """Rounded division of x modulo `modulus` by its factor `divisor`."""
        out = []
        for c in x:
            c %= modulus
            quotient, remainder = divmod(c - centred(c, divisor), divisor)
            assert remainder == 0
            out.append(quotient % (modulus // divisor))
        return out

    s_m, s_i, s_r = ternary(), ternary(), ternary()

    # Encoding and encryption.
    w_values, x_values = values(), values()
    w_log2, x_log2 = 34, 38
    w_message, x_message = ring.encode(w_values, 2**w_log2), ring.encode(x_values, 2**x_log2)
    for message, expected, log2 in ((w_message, w_values, w_log2), (x_message, x_values, x_log2)):
        error = max(abs(s / 2**log2 - v) for s, v in zip(ring.slots_of(message), expected))
        assert error < 1e-9, error
    w_b, w_a = encrypt(w_message, s_m, big_q)
    x_b, x_a = encrypt(x_message, s_i, big_q)

    # Two-key product at the top level.
    reduce = lambda x: [c % big_q for c in x]
    one, model = reduce(ring.mul(w_b, x_b)), reduce(ring.mul(w_a, x_b))
    operand, both = reduce(ring.mul(w_b, x_a)), reduce(ring.mul(w_a, x_a))

    # Switched to s_R, rotated by r, divided by P and the last prime at once.
    r = 3
    sources = {
        "model": (s_m, model),
        "input": (s_i, operand),
        "model_times_input": (ring.mul(s_m, s_i), both),
    }
    keys = {name: switching_key(source, r, q) for name, (source, _) in sources.items()}
    sum_b, sum_a = scale_by(one, p), [0] * N
    for name, (_, component) in sources.items():
        b, a = digits_times_key(component, keys[name], q)
        sum_b, sum_a = add(sum_b, b), add(sum_a, a)
    sum_b, sum_a = ring.rotate(sum_b, r), ring.rotate(sum_a, r)
    level_1 = math.prod(q[:2])
    y_b, y_a = (divide(x, big_q * p, p * q[2]) for x in (sum_b, sum_a))
    y_scale = 2.0 ** (w_log2 + x_log2) / q[2]
    product = [w * x for w, x in zip(w_values, x_values)]
    expected = product[r:] + product[:r]
    found = [s / y_scale for s in ring.slots_of(decrypt(y_b, y_a, s_r, level_1))]
    assert max(abs(f - e) for f, e in zip(found, expected)) < 1e-4, (found, expected)

    # Square at level 1, relinearized and rescaled to level 0.
    squared = [
        [c % level_1 for c in part]
        for part in (ring.mul(y_b, y_b), scale_by(ring.mul(y_b, y_a), 2), ring.mul(y_a, y_a))
    ]
    relinearization = switching_key(ring.mul(s_r, s_r), 0, q[:2])
    b, a = digits_times_key(squared[2], relinearization, q[:2])
    b, a = add(b, scale_by(squared[0], p)), add(a, scale_by(squared[1], p))
    z_b, z_a = (divide(x, level_1 * p, p * q[1]) for x in (b, a))
    z_scale = y_scale * y_scale / q[1]
    z_message = decrypt(z_b, z_a, s_r, q[0])
    z_slots = [s / z_scale for s in ring.slots_of(z_message)]
    assert max(abs(f - e * e) for f, e in zip(z_slots, expected)) < 1e-2, (z_slots, expected)

    two = lambda b, a, moduli: {"b": residues(b, moduli), "a": residues(a, moduli)}
    key = lambda digits, moduli: [two(b, a, moduli + special) for b, a in digits]
    return {
        "kind": kind,
        "log_n": int(math.log2(N)),
        "primes": q,
        "special_primes": special,
        "rotation": r,
        "secrets": {"model": s_m, "input": s_i, "result": s_r},
        "weight": {"values": w_values, "log2_scale": w_log2, "message": w_message} | two(w_b, w_a, q),
        "operand": {"values": x_values, "log2_scale": x_log2, "message": x_message} | two(x_b, x_a, q),
        "product": {
            "one": residues(one, q),
            "model": residues(model, q),
            "operand": residues(operand, q),
            "both": residues(both, q),
        },
        "keys": {name: key(digits, q) for name, digits in keys.items()},
        "switched": two(y_b, y_a, q[:2]),
        "square": [residues(part, q[:2]) for part in squared],
        "relinearization_key": key(relinearization, q[:2]),
        "relinearized": two(z_b, z_a, q[:1]),
        "decrypted": {"coefficients": z_message, "slots": z_slots},
    }


def main():
    vectors = [generate("conjugate_invariant"), generate("standard")]
    print(json.dumps(vectors, separators=(",", ":")).replace('],"', '],\n"'))


if __name__ == "__main__":
    main()
