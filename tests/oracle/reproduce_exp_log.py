#!/usr/bin/env python3
"""Reproduces the hash of exp and log in docs/arithmetic.md, section 5: python3 tests/oracle/reproduce_exp_log.py

Written from that page alone, in Python's standard library. Exit code 1 where the hash differs.
"""
import hashlib
import math
import os
import re
import struct
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "arithmetic.md")
MASK = (1 << 64) - 1


class Random:
    """SplitMix64."""
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return z ^ z >> 31


LN2_HI, LN2_LO, INV_LN2, ROUNDER = map(float.fromhex, (
    "0x1.62e42feep-1", "0x1.a39ef35793c76p-33", "0x1.71547652b82fep+0", "0x1.8p52"))
EXP_C = [1 / math.factorial(i + 2) for i in range(13)]
LOG_D = [2 / (2 * i + 3) for i in range(11)]


def exp(x):
    if x > float.fromhex("0x1.62e42fefa39efp+9"):
        return math.inf
    if x < -746:
        return 0.0
    k = (x * INV_LN2 + ROUNDER) - ROUNDER
    hi, lo = x - k * LN2_HI, k * LN2_LO
    r = hi - lo
    r_low = (hi - r) - lo
    p = EXP_C[12]
    for c in EXP_C[11::-1]:
        p = p * r + c
    one_r = 1 + r
    lost = (1 - one_r) + r
    y = one_r + ((r_low + lost) + (r * r) * p)
    if k > 1023:
        return y * 2.0 ** 1023 * 2
    return y * 2.0 ** k if k >= -1022 else y * 2.0 ** (k + 1000) * 2.0 ** -1000


def log(x):  # of positive finite numbers and 0
    if x == 0:
        return -math.inf
    e = 0
    if x < 2.0 ** -1022:
        x, e = x * 2.0 ** 54, -54
    b = struct.unpack("<Q", struct.pack("<d", x))[0] + 0x3FF0000000000000 - 0x3FE6A09E00000000
    e += (b >> 52) - 1023
    m = struct.unpack("<d", struct.pack("<Q", (b & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E00000000))[0]
    f = m - 1
    s = f / (2 + f)
    z = s * s
    p = LOG_D[10]
    for d in LOG_D[9::-1]:
        p = p * z + d
    half = (0.5 * f) * f
    top = e * LN2_HI
    total = top + f
    lost = (top - total) + f
    return total + (lost + ((s * (half + z * p) + e * LN2_LO) - half))


def exp_log_hash():
    random, digest = Random(1), hashlib.sha256()
    for _ in range(200000):
        u = (random.next() >> 11) * 2.0 ** -53
        v = struct.unpack("<d", struct.pack("<Q", (random.next() >> 1) % 0x7FF0000000000000))[0]
        digest.update(struct.pack("<2d", exp(1455 * u - 745.5), log(v)))
    return digest.hexdigest()


def main():
    with open(PAGE, encoding="utf-8") as file:
        published = re.search(r"^`(\w{64})`\. A test compares", file.read(), re.M).group(1)
    got = exp_log_hash()
    print("equal exp, log" if got == published else f"DIFFERS exp, log: {got}, the page has {published}")
    return 0 if got == published else 1


if __name__ == "__main__":
    sys.exit(main())
