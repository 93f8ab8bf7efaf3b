#!/usr/bin/env python3
"""Rewrites the file tables of ARCHITECTURE.md from the first comment of every file: python3 tools/file_table.py"""
import collections
import glob
import os
import re

GROUPS = [("engine", "the engine"), ("layers", "formula, forward, gradients"),
          ("layers/kernels", "nothing but arithmetic"), ("cam", "images, Grad-CAM, figures"),
          ("weights_tools", "checkpoints in, models out"),
          ("audit", "why float32 and float64 gradients differ, on the public headers"),
          ("cli", "the command line"), ("tests", "the tests"),
          ("tests/fuzz", "fuzz targets (their inputs are in corpus/)"),
          ("tests/controls", "networks with known shortcuts (README.md there)"),
          ("bench", "benchmarks beside the peers (RESULTS.md has the figures)"),
          ("examples", "small programs against the public headers")]


def description(path):
    match = re.match(r"/\*\s*\S+\s+-\s+(.*?)(?:\*/|\n \*\n|\n\n)", open(path).read(), re.S)
    text = re.sub(r"\s*\n \*\s*", " ", match.group(1)).strip() if match else ""
    return re.split(r"(?<!al)\. (?=[A-Z])", text)[0].rstrip(". ")


def table(folder, title):
    stems = collections.defaultdict(list)
    for path in sorted(glob.glob(f"{folder}/*.[ch]")):
        stems[os.path.basename(path)[:-2]].append(path[-1])
    lines = [f"### {folder}/: {title}", "| file | what it is |", "|---|---|"]
    for stem, endings in sorted(stems.items()):
        texts = [description(f"{folder}/{stem}.{e}") for e in sorted(endings, reverse=True)]
        text = next((t for t in texts if t and not t.startswith("see ")), "")
        lines.append(f"| `{stem}.{','.join(endings)}` | {text} |")
    return "\n".join(lines) + "\n\n"


page = open("ARCHITECTURE.md").read()
begin, end = page.index("## Files\n") + len("## Files\n"), page.index("`weights_tools/dump_torch.py` writes")
open("ARCHITECTURE.md", "w").write(page[:begin] + "".join(table(*g) for g in GROUPS) + page[end:])
