#!/usr/bin/env python3
"""Reproduces the hashes that docs/arithmetic.md publishes, by a program that shares nothing with cnnscope.

    python3 tests/oracle/reproduce_hashes.py [NETWORK.json [NAME-IN-THE-TABLE [PAGE]]]

Written from docs/arithmetic.md alone (and docs/formats.md, to read the network), in Python's standard library, with
whole numbers for every fused multiply-add: the exact x*y + z, rounded once. Without arguments it takes
examples/small_resnet.json, forward and backward in float32 and float64: 10 seconds on two CPUs. Exit code 1 where a hash differs.
"""
import hashlib
import json
import math
import multiprocessing
import os
import re
import struct
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MASK = (1 << 64) - 1


# ------------------------------------------------------------------ numbers
def round_f32(v):
    return struct.unpack("<f", struct.pack("<f", v))[0]


class Type:
    """T: its precision in bits, the exponent of its smallest number, and (T)v."""
    def __init__(self, name):
        self.name, self.letter = name, {"f32": "f", "f64": "d"}[name]
        self.bits, self.least, self.round = (24, -149, round_f32) if name == "f32" else (53, -1074, float)

    def split(self, v):
        """v = mantissa * 2^exponent, both whole."""
        m, e = math.frexp(v)
        return int(math.ldexp(m, self.bits)), e - self.bits

    def chain(self, start, terms):
        """acc = start; for (x, w) in terms: acc = fma(x, w, acc), rounded once each; x, w split numbers."""
        bits, least = self.bits, self.least
        acc, e = self.split(start)
        for (x, ex), (w, ew) in terms:
            d = ex + ew - e
            if d >= 0:
                s = acc + (x * w << d)
            else:
                s = (acc << -d) + x * w
                e += d
            drop = s.bit_length() - bits
            if drop < least - e:
                drop = least - e
            if drop > 0:  # to nearest, ties to even; >> rounds down, negative numbers too
                s = (s + (1 << (drop - 1)) - 1 + (s >> drop & 1)) >> drop
                e += drop
            acc = s
        return math.ldexp(acc, e) + 0.0

    def fma(self, x, y, z):
        return self.chain(z, [(self.split(x), self.split(y))])


F64 = Type("f64")


# ------------------------------------------------------------------ values: value[c][y][x]
def shape(v):
    return len(v), len(v[0]), len(v[0][0])


def build(dims, f):
    c, h, w = dims
    return [[[f(i, y, x) for x in range(w)] for y in range(h)] for i in range(c)]


def sha256(v, letter):
    flat = [x for plane in v for row in plane for x in row]
    return hashlib.sha256(struct.pack(f"<{len(flat)}{letter}", *flat)).hexdigest()


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


# ------------------------------------------------------------------ the network
class Network:
    def __init__(self, path, T):
        self.T = T
        with open(path, encoding="utf-8") as file:
            self.manifest = json.load(file)
        with open(os.path.join(os.path.dirname(path), self.manifest["bin"]["file"]), "rb") as file:
            data = file.read()
        self.tensors = {t["name"]: (t["shape"], struct.unpack_from(f"<{t['nbytes'] // 4}f", data, t["offset"]))
                        for t in self.manifest["tensors"]}
        self.nodes = self.manifest["graph"]
        self.values, self.winners, self.gradients = {}, {}, {}

    def vector(self, name):
        return self.tensors[name][1] if name else None

    def find(self, path):
        """A node's name, or the last node of a module."""
        names = [n["name"] for n in self.nodes]
        inside = [n["name"] for n in self.nodes if (n["module"] + ".").startswith(path + ".")]
        return path if path in names else inside[-1]

    def taps(self, node):
        """weights[k][r][s][c] as split numbers, c within the group."""
        (K, C, *rs), flat = self.tensors[node["weight"]]
        R, S = rs or (1, 1)
        return [[[[self.T.split(flat[((k * C + c) * R + r) * S + s]) for c in range(C)] for s in range(S)]
                 for r in range(R)] for k in range(K)]

    # Forward: one function an operation.
    def conv2d(self, node, x):
        T, w, bias = self.T, self.taps(node), self.vector(node["bias"])
        (sy, sx), (py, px), (dy, dx) = node["stride"], node["padding"], node["dilation"]
        C, H, W = shape(x)
        K, R, S, group_c = len(w), len(w[0]), len(w[0][0]), len(w[0][0][0])
        group_k = K // node["groups"]
        OH, OW = (H + 2 * py - dy * (R - 1) - 1) // sy + 1, (W + 2 * px - dx * (S - 1) - 1) // sx + 1
        x = [[[T.split(v) for v in row] for row in plane] for plane in x]

        def one(k, oy, ox):
            first = k // group_k * group_c
            terms = [(x[first + c][iy][ix], w[k][r][s][c])
                     for r in range(R) for iy in [oy * sy - py + r * dy] if 0 <= iy < H
                     for s in range(S) for ix in [ox * sx - px + s * dx] if 0 <= ix < W
                     for c in range(group_c) if x[first + c][iy][ix][0]]
            return T.chain(bias[k] if bias else 0.0, terms)
        return build((K, OH, OW), one)

    def linear(self, node, x):
        T, self.T = self.T, F64  # in double, rounded at the end
        y = self.conv2d(dict(node, stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1), x)
        self.T = T
        return build(shape(y), lambda k, _y, _x: T.round(y[k][0][0]))

    def scale_shift(self, node):
        for g, b, m, v in zip(*(self.vector(node[k]) for k in ("weight", "bias", "running_mean", "running_var"))):
            scale = self.T.round(g / math.sqrt(v + node["eps"]))
            yield scale, self.T.round(F64.fma(-m, scale, b))

    def batch_norm(self, node, x):
        table = list(self.scale_shift(node))
        return build(shape(x), lambda c, y, i: self.T.fma(x[c][y][i], *table[c]))

    def relu(self, _, x):
        return build(shape(x), lambda c, y, i: 0.0 if x[c][y][i] <= 0 else x[c][y][i])

    def add(self, _, a, b):
        return build(shape(a), lambda c, y, i: self.T.round(a[c][y][i] + b[c][y][i]))

    def max_pool2d(self, node, x):
        (R, S), (sy, sx), (py, px) = node["kernel_size"], node["stride"], node["padding"]
        (dy, dx), (C, H, W) = node["dilation"], shape(x)
        assert not node["ceil_mode"]
        winners = self.winners[node["name"]] = {}

        def one(c, oy, ox):
            best = None
            for iy in range(oy * sy - py, oy * sy - py + R * dy, dy):
                for ix in range(ox * sx - px, ox * sx - px + S * dx, dx):
                    if 0 <= iy < H and 0 <= ix < W and (best is None or x[c][iy][ix] > x[c][best[0]][best[1]]):
                        best = iy, ix
            winners.setdefault((c, *best), []).append((oy, ox))  # the windows that a pixel won, ascending
            return x[c][best[0]][best[1]]
        return build((C, (H + 2 * py - dy * (R - 1) - 1) // sy + 1, (W + 2 * px - dx * (S - 1) - 1) // sx + 1), one)

    def adaptive_avg_pool2d(self, _, x):
        def one(c, _y, _x):
            acc = 0.0
            for row in x[c]:
                for v in row:
                    acc += v
            return self.T.round(acc / (len(x[c]) * len(x[c][0])))
        return build((len(x), 1, 1), one)

    def flatten(self, _, x):
        return [[[v]] for plane in x for row in plane for v in row]

    # Input gradients: one list of contributions an operation, in the order of the inputs.
    def conv2d_back(self, node, dy, x):
        T, w = self.T, self.taps(node)
        (sy, sx), (py, px), (ry, rx) = node["stride"], node["padding"], node["dilation"]
        (K, OH, OW), R, S, group_c = shape(dy), len(w[0]), len(w[0][0]), len(w[0][0][0])
        group_k = K // node["groups"]
        dy = [[[T.split(v) for v in row] for row in plane] for plane in dy]

        def one(c, iy, ix):
            first, within = c // group_c * group_k, c % group_c
            terms = []
            for r in range(R):
                oy, rest = divmod(iy + py - r * ry, sy)
                if rest or not 0 <= oy < OH:
                    continue
                for s in range(S):
                    ox, rest = divmod(ix + px - s * rx, sx)
                    if rest or not 0 <= ox < OW:
                        continue
                    terms += [(dy[k][oy][ox], w[k][r][s][within]) for k in range(first, first + group_k)
                              if dy[k][oy][ox][0]]
            return T.chain(0.0, terms)
        return [build(shape(x), one)]

    def linear_back(self, node, dy, x):
        return self.conv2d_back(dict(node, stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1), dy, x)

    def batch_norm_back(self, node, dy, x):
        table = list(self.scale_shift(node))
        return [build(shape(x), lambda c, y, i: self.T.round(dy[c][y][i] * table[c][0]))]

    def relu_back(self, _, dy, x):
        return [build(shape(x), lambda c, y, i: 0.0 if x[c][y][i] <= 0 else dy[c][y][i])]

    def add_back(self, _, dy, _a, _b):
        return [dy, dy]

    def max_pool2d_back(self, node, dy, x):
        def one(c, iy, ix):
            acc = 0.0
            for oy, ox in self.winners[node["name"]].get((c, iy, ix), ()):
                acc = self.T.round(acc + dy[c][oy][ox])
            return acc
        return [build(shape(x), one)]

    def adaptive_avg_pool2d_back(self, _, dy, x):
        _, H, W = shape(x)
        return [build(shape(x), lambda c, y, i: self.T.round(0.0 + dy[c][0][0] / (H * W)))]

    def flatten_back(self, _, dy, x):
        _, H, W = shape(x)
        return [build(shape(x), lambda c, y, i: dy[(c * H + y) * W + i][0][0])]

    # Stored values never hold -0.
    def forward(self, image):
        for node in self.nodes:
            if node["op"] == "input":
                y = image
            else:
                y = getattr(self, node["op"])(node, *(self.values[i] for i in node["inputs"]))
            self.values[node["name"]] = build(shape(y), lambda c, h, w: y[c][h][w] + 0.0)

    def backward(self, logit):
        out = self.manifest["output"]
        self.gradients[out] = build(shape(self.values[out]), lambda c, h, w: float(c == logit))
        for node in reversed(self.nodes):
            if node["op"] == "input" or node["name"] not in self.gradients:
                continue
            inputs = node["inputs"]
            parts = getattr(self, node["op"] + "_back")(node, self.gradients[node["name"]],
                                                        *(self.values[i] for i in inputs))
            for name, v in reversed(list(zip(inputs, parts))):
                there = self.gradients.get(name)
                self.gradients[name] = build(shape(v), lambda c, h, w: (
                    self.T.round(there[c][h][w] + v[c][h][w]) if there else v[c][h][w]) + 0.0)


# ------------------------------------------------------------------ the page
def work(job):
    kind, path, nodes = job
    net = Network(path, Type(kind))
    size, random = net.manifest["input"], Random(1)
    net.forward(build((size["channels"], size["height"], size["width"]),
                      lambda *_: (random.next() >> 40) * 2.0 ** -22 - 2))
    net.backward(0)
    return [sha256(net.gradients["input"] if node == "d input" else net.values[net.find(node)], net.T.letter)
            for node in nodes]


def main(arguments):
    defaults = [os.path.join(ROOT, "examples", "small_resnet.json"), "small_resnet",
                os.path.join(ROOT, "docs", "arithmetic.md")]
    path, name, page = arguments + defaults[len(arguments):]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    rows = re.findall(r"^\| `%s` \| `(.+)` \| `(\w{64})` \| `(\w{64})` \|$" % re.escape(name), text, re.M)
    nodes = [row[0] for row in rows]
    expected = {"f64": [row[2] for row in rows], "f32": [row[1] for row in rows]}
    with multiprocessing.Pool(2) as pool:
        results = pool.map(work, [(kind, path, nodes) for kind in expected], chunksize=1)
    wrong = 0 if rows else 1
    for (kind, wanted), got in zip(expected.items(), results):
        for node, a, b in zip(nodes, wanted, got):
            wrong += a != b
            print(f"{'equal  ' if a == b else 'DIFFERS'} {kind} {node}" + ("" if a == b else f": {b}, the page has {a}"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
