#!/usr/bin/env python3
"""Turns the JSON lines of the bench-* targets into the tables of bench/RESULTS.md and its plots: report.py FOLDER

Everything between "<!-- begin NAME -->" and "<!-- end NAME -->" in RESULTS.md is rewritten; a table whose lines are not in FOLDER
stays as it is. The plots need matplotlib.
"""
import collections
import json
import pathlib
import re
import sys

import matplotlib
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot

here, folder = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])
lines = {p.stem: [json.loads(line) for line in p.read_text().splitlines()] for p in folder.glob("*.jsonl")}
COLORS = collections.defaultdict(lambda: "#8a8f98", {"cnnscope": "#c2410c", "cnnscope, dense": "#f0a070", "cnnscope, skip": "#e07b3c"})


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def times(line):
    return f"{line['best_ms']:.1f} / {line['median_ms']:.1f} ({line['quartiles_ms'][0]:.1f}-{line['quartiles_ms'][1]:.1f})"


def ratio(line):
    return f"**{line['median']:.2f}** ({line['quartiles'][0]:.2f}-{line['quartiles'][1]:.2f})"


def of(name, **fields):
    return [line for line in lines[name] if all(line.get(k) == v for k, v in fields.items())]


def compare_tables():
    parts = ["; ".join(f"{k} {v}" for k, v in of("compare")[0].items())]
    for work, batch in (("forward", 1), ("forward", 8), ("gradient", 1), ("gradcam", 1)):
        chosen = [l for l in of("compare", table="resnet50", work=work, batch=batch) if "engine" in l]
        engines = list(dict.fromkeys(l["engine"] for l in chosen))
        rows = []
        for engine in engines:
            row = [engine]
            for threads in (2, 1):
                line = next((l for l in chosen if l["engine"] == engine and l["threads"] == threads), None)
                row += ["", ""] if line is None else [times(line), f"{line['gflops']:.0f}, {line['percent_of_peak']:.0f} %" if "gflops" in line else ""]
            rows.append(row)
        ratios = [l for l in of("compare", table="resnet50", work=work, batch=batch) if "ratio" in l]
        zeros = f", zeros {chosen[0]['zeros']}" if "zeros" in chosen[0] else ""
        head = {"forward": "Forward", "gradient": "Forward + input gradient", "gradcam": "Grad-CAM at layer4, warm"}[work]
        parts += [f"**{head}, batch {batch}**{zeros}; ms, best / median (quartiles)",
                  table(["engine", "two threads", "GFLOP/s, of the peak", "one thread", "GFLOP/s, of the peak"], rows)]
        parts += [f"{l['ratio']}, {l['threads']} thread{'s' * (l['threads'] > 1)}: {ratio(l)}"
                  + (f"; the fastest by median was {l['fastest']}" if "fastest" in l else "")
                  + (f"; peak {l['peak_gflops']:.0f} GFLOP/s" if l.get("peak_gflops") else "") + "  " for l in ratios]
    return "\n\n".join(p if p.startswith(("|", "**")) else p for p in parts)


def kind_of(step):
    name = step["step"]
    if name.startswith("conv1"):
        return "stem"
    if "downsample" in name:
        return "downsample"
    return {"conv1": "1x1, first", "conv2": "3x3", "conv3": "1x1, last"}.get(name.split(".")[-1], "other")


def layers_table():
    peaks = {l["threads"]: l["peak_gflops"] for l in of("compare", table="resnet50", work="forward", batch=1) if "ratio" in l}
    sums = collections.defaultdict(lambda: [0.0, 0.0])
    for line in of("compare", table="layers"):
        for kind in (kind_of(line), "all"):
            cell = sums[kind, line["threads"], line["kernel"]]
            cell[0] += line["milliseconds"]
            cell[1] += line["gflop"]
    rows = []
    for kind in ("stem", "1x1, first", "3x3", "1x1, last", "downsample", "other", "all"):
        row = [kind, f"{sums[kind, 2, 'auto'][1]:.2f}"]
        for threads in (2, 1):
            for kernel in ("auto", "dense"):
                ms, gflop = sums[kind, threads, kernel]
                row.append(f"{ms:.2f}" + (f", {100 * gflop / ms * 1e3 / peaks[threads]:.0f} %" if gflop > 0.01 and ms else ""))
        rows.append(row)
    return table(["layers", "GFLOP", "two threads", "dense", "one thread", "dense"], rows)


def networks_table():
    rows = []
    for key in dict.fromkeys((l["network"], l["threads"]) for l in lines["networks"]):
        chosen = of("networks", network=key[0], threads=key[1])
        ours = next(l for l in chosen if l.get("engine") == "cnnscope")
        result = next(l for l in chosen if "ratio" in l)
        rival = next(l for l in chosen if l.get("engine") == result["fastest"])
        rows.append([key[0], key[1], ours["zeros"], times(ours), f"{rival['engine']} {times(rival)}", ratio(result)])
    return table(["network", "threads", "zeros", "cnnscope, ms", "fastest peer", "ratio"], rows)


def explain_table():
    rows = []
    for threads in (2, 1):
        chosen = of("explain", threads=threads)
        memory = next(l for l in chosen if "peak_memory_mb" in l)["peak_memory_mb"]
        result = next(l for l in chosen if "ratio" in l)
        for line in (l for l in chosen if "engine" in l):
            rows.append([line["engine"], threads, times(line), f"{memory[line['engine']]:.0f} MB",
                         f"1/{1 / result['median']:.0f} (1/{1 / result['quartiles'][0]:.0f}-1/{1 / result['quartiles'][1]:.0f})"
                         if line["engine"] == "cnnscope" else ""])
    return table(["", "threads", "cold process, ms", "peak memory", "ratio"], rows)


def accuracy_table():
    keys = list(dict.fromkeys((l["network"], l["inputs"]) for l in lines["accuracy"]))
    rows = []
    for engine in dict.fromkeys(l["engine"] for l in lines["accuracy"]):
        found = [of("accuracy", engine=engine, network=n, inputs=i)[0] for n, i in keys]
        rows.append([engine] + [f"{l['rms']:.2g} ({l['ratio_of_cnnscope']:.2f})" for l in found])
    return table(["rms error (cnnscope's divided by it)"] + [f"{n}, {i}" for n, i in keys], rows)


def training_table():
    rows = []
    for line in (l for l in lines["training"] if "engine" in l):
        rows.append([line["engine"], line["threads"], times(line)])
    text = table(["", "threads", "milliseconds, best / median (quartiles)"], rows)
    return text + "\n\n" + "\n\n".join(f"{l['ratio']}, {l['threads']} thread{'s' * (l['threads'] > 1)}: {ratio(l)}"
                                        for l in lines["training"] if "ratio" in l)


def zeros_table():
    rows = [[f"{l['threads']}", f"{l['dense']:.1f}", f"{l['skip']:.1f}, {l['skip_of_dense']:.2f}", f"{l['auto']:.1f}, {l['auto_of_dense']:.2f}"]
            for l in of("zeros", shape="all")]
    return table(["threads", "dense, ms", "skip, ms and of dense", "auto, ms and of dense"], rows)


def growth_table():
    rows = []
    for axis in ("batch", "size", "depth"):
        for value in dict.fromkeys(l["value"] for l in of("growth", axis=axis)):
            forward, = of("growth", axis=axis, value=value, engine="cnnscope", work="forward")
            gradient = of("growth", axis=axis, value=value, engine="cnnscope", work="gradient")
            other, = of("growth", axis=axis, value=value, engine="ONNX Runtime")
            rows.append([axis, value, f"{forward['best_ms']:.1f}", f"{gradient[0]['best_ms']:.1f}" if gradient else "",
                         f"{other['best_ms']:.1f}", f"{forward['arena_mb']} + {forward['packed_mb']}",
                         f"{gradient[0]['arena_mb']} + {gradient[0]['packed_mb']}" if gradient else ""])
    return table(["", "", "forward, ms", "with input gradient, ms", "ONNX Runtime, forward, ms", "MB forward: arena + packed", "MB with gradient"], rows)


def plot_engines():
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 3.4))
    for axis, batch in zip(axes, (1, 8)):
        chosen = [l for l in of("compare", table="resnet50", work="forward", batch=batch, threads=2) if "engine" in l]
        chosen.sort(key=lambda l: -l["median_ms"])
        low = [(l["median_ms"] - l["quartiles_ms"][0]) / batch for l in chosen]
        high = [(l["quartiles_ms"][1] - l["median_ms"]) / batch for l in chosen]
        axis.barh([l["engine"] for l in chosen], [l["median_ms"] / batch for l in chosen], xerr=[low, high],
                  color=[COLORS[l["engine"]] for l in chosen], error_kw={"lw": 1, "ecolor": "#333"})
        peak = next((l["peak_gflops"] for l in of("compare", work="forward", batch=batch, threads=2) if "ratio" in l))
        axis.axvline(8.2e3 / peak, color="black", lw=1, ls="--")
        axis.text(8.2e3 / peak, len(chosen) - 0.4, "dense limit", fontsize=7, ha="center", va="bottom")
        axis.set_xlabel(f"ms per image, batch {batch}, two threads (median, quartiles)", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, "engines")


def plot_growth():
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 5.6))
    for column, (axis, label) in enumerate((("batch", "batch"), ("size", "image side, pixels"), ("depth", "depth of the ResNet"))):
        top, bottom = axes[0][column], axes[1][column]
        for engine, work, color, style in (("cnnscope", "forward", "#c2410c", "-"), ("cnnscope", "gradient", "#f0a070", "-"),
                                           ("ONNX Runtime", "forward", "#8a8f98", "--")):
            chosen = of("growth", axis=axis, engine=engine, work=work)
            name = f"{engine}, {'forward' if work == 'forward' else 'with input gradient'}"
            per = [l["batch"] if axis == "batch" else 1 for l in chosen]
            top.plot([l["value"] for l in chosen], [l["best_ms"] / n for l, n in zip(chosen, per)], style, marker="o", ms=3, color=color, label=name)
            if engine == "cnnscope":
                bottom.plot([l["value"] for l in chosen], [l["arena_mb"] + l["packed_mb"] for l in chosen], style, marker="o", ms=3, color=color)
        top.set_ylabel("ms per image, best" if axis == "batch" else "ms, best")
        bottom.set_ylabel("MB: tensors + packed weights")
        bottom.set_xlabel(label)
        for plot in (top, bottom):
            if axis != "depth":
                plot.set_xscale("log", base=2)
            plot.set_xticks([l["value"] for l in of("growth", axis=axis, engine="cnnscope", work="forward")])
            plot.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
            plot.get_xaxis().set_minor_locator(matplotlib.ticker.NullLocator())
            plot.tick_params(axis="x", labelsize=7, rotation=45 if axis == "size" else 0)
            if axis == "size" and plot is top:
                plot.set_yscale("log")
            else:
                plot.set_ylim(bottom=0)
            plot.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(fontsize=7, frameon=False)
    save(figure, "growth")


def save(figure, name):
    figure.tight_layout()
    figure.savefig(here / f"{name}.png", dpi=80)
    picture = Image.open(here / f"{name}.png").convert("RGB").quantize(32)  # a third of the bytes
    picture.save(here / f"{name}.png", optimize=True)


def main():
    results = here / "RESULTS.md"
    text = results.read_text()
    for name, source, make in (("compare", "compare", compare_tables), ("layers", "compare", layers_table), ("networks", "networks", networks_table),
                               ("explain", "explain", explain_table), ("accuracy", "accuracy", accuracy_table), ("growth", "growth", growth_table),
                               ("zeros", "zeros", zeros_table), ("training", "training", training_table)):
        if source in lines:
            text, count = re.subn(f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", lambda m: m[1] + make() + "\n" + m[2], text, flags=re.S)
            assert count == 1, f"RESULTS.md has no place for {name}"
    results.write_text(text)
    if "compare" in lines:
        plot_engines()
    if "growth" in lines:
        plot_growth()


main()
