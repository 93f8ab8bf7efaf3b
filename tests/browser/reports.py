"""reports.py - the reports that the browser is shown: the demo's, and one of a folder with everything that can be wrong."""
import os
import random
import re
import shutil
import subprocess

# Names that would be markup, script or a request if the page took them for more than text.
HOSTILE_NAMES = ('<script>window.pwned=1</script>.png', '"><img src=x onerror=window.pwned=1>.png',
                 "' onmouseover='window.pwned=1.png", "&lt;b&gt; &amp;.png", "\u202egnp.txt \u05e9\u05dc\u05d5\u05dd.png",
                 "\\ `;--.png")


def run(program, *arguments, expect=(0,)):
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in expect:
        raise SystemExit(f"{program} {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done


def make_demo(program, work):
    """The demo's folder."""
    demo = os.path.join(work, "demo")
    run(program, "demo", demo)
    return demo


def with_rows(page, count):
    """A report's page with `count` rows in its table: its own ones again and again, with other numbers and names."""
    begin = page.index("<tbody>\n", page.index('id="images"')) + len("<tbody>\n")
    end = page.index("</tbody>", begin)
    rows, chance = page[begin:end].splitlines(keepends=True), random.Random(1)
    made = (re.sub(r"\d\.\d{3}", lambda _: f"{9 * chance.random():.3f}", rows[i % len(rows)]).replace(".png", f"-{i}.png")
            for i in range(count))
    return page[:begin] + "".join(made) + page[end:]


def spoil(folder):
    """Entries that cannot be diagnosed; their number."""
    good = next(name for name in sorted(os.listdir(folder)) if name.endswith(".png"))
    with open(os.path.join(folder, good), "rb") as file:
        data = file.read()
    contents = {"empty.png": b"", "text.png": b"no image\n", "cut.png": data[:100], "huge.ppm": b"P6 60000 60000 255\n"}
    for name, content in contents.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    os.symlink("nowhere", os.path.join(folder, "gone.png"))
    return len(contents) + 1


def make_hostile(program, demo, work):
    """(path of the report, images, entries that failed): names like markup, the same name twice, broken files."""
    folder, out = os.path.join(work, "bad <b>&amp; entries"), os.path.join(work, "hostile")
    source = os.path.join(demo, "hospital-a", "images", "NORMAL")
    images = sorted(os.listdir(source))
    for sub in ("NORMAL", "OPACITY"):
        os.makedirs(os.path.join(folder, sub))
        for number, name in enumerate(images[:12]):
            shutil.copy(os.path.join(source, name), os.path.join(folder, sub, name if number >= 2 else f"same {number}.png"))
    for number, name in enumerate(HOSTILE_NAMES):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        shutil.copy(os.path.join(source, images[20 + number]), os.path.join(folder, name))
    with open(os.path.join(folder, "<b onclick=x>.png"), "wb") as file:
        file.write(b"broken")
    failed = spoil(os.path.join(folder, "NORMAL")) + 1
    run(program, "diagnose", os.path.join(demo, "tag_reader.json"), folder, "--no-counterfactuals", "-o", out, expect=(3,))
    total = sum(len(files) for _, _, files in os.walk(folder))
    return os.path.join(out, "report.html"), total, failed
