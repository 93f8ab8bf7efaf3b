"""test_report.py PROGRAM DIR - report.html in a headless Chromium: that it loads nothing, can be sorted, filtered and
opened, by mouse and by keyboard alone, can be read by a screen reader and with scripts off, on a phone, in the dark and
on paper, and that names of files stay text. DIR is removed and made anew. Skipped, saying so, where there is no Chromium."""
import os
import pathlib
import re
import shutil
import sys
import time

import chromium
import reports

HERE = pathlib.Path(__file__).parent
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3


def need(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


class Bench:
    """The browser and the reports."""

    def __init__(self, browser, demo, hostile, work):
        self.browser = browser
        self.demo = pathlib.Path(demo, "tag-reader", "report.html").resolve()
        self.hostile, self.entries, self.failed = pathlib.Path(hostile[0]).resolve(), hostile[1], hostile[2]
        self.work = work

    def open(self, report=None, **how):
        page = self.browser.open((report or self.demo).as_uri(), **how)
        if how.get("scripts", True):
            page.evaluate((HERE / "page_probe.js").read_text())
        return page


def column(page, title):
    return next(i for i, head in enumerate(page.evaluate("probe.heads()")) if head["text"] == title)


def values(page, index):
    """A column of the table as numbers, or as text in lower case."""
    cells = [row[index] for row in page.evaluate("probe.rows()")]
    try:
        return [float(c.replace("\u2212", "-")) for c in cells if c]
    except ValueError:
        return [c.lower() for c in cells if c]


def head_button(index):
    return f"#images thead th:nth-child({index + 1}) button"


def test_loads_nothing(b):
    for report in (b.demo, b.hostile):
        page = b.open(report)
        page.settle()
        foreign = [url for url in page.requests() if url != report.as_uri() and not url.startswith("data:")]
        need(not foreign, "asked for", foreign)
        need(page.requests().count(report.as_uri()) == 1, "not loaded once:", page.requests()[:5])
        need(not page.complaints(), "console:", page.complaints()[:3])
        page.close()


def test_verdict_first(b):
    page = b.open()
    need("upper left corner" in page.evaluate("document.querySelector('h1').textContent"), "no verdict in the heading")
    bottom = page.evaluate("document.querySelector('.lead').getBoundingClientRect().bottom")
    need(bottom < 900, "the verdict ends below the first screen:", bottom)
    lead = page.evaluate("document.querySelector('.lead').textContent")
    need(re.search(r"With the corner covered, 100\s% of these answers change", lead), lead)
    page.close()


def test_sorting(b):
    page = b.open()
    for title in ("Corner, times even", "Image", "Right minus left"):
        index = column(page, title)
        before = values(page, index)
        for sort, ordered in (("ascending", sorted(before)), ("descending", sorted(before, reverse=True))):
            page.click(head_button(index))
            heads = page.evaluate("probe.heads()")
            need([h["sort"] for h in heads] == [sort if i == index else None for i in range(len(heads))], title, heads)
            need(values(page, index) == ordered, title, sort, "is not sorted")
    need(len(set(before)) > 20, "a column of equals proves nothing")
    page.close()


def test_sorting_by_keyboard(b):
    page = b.open()
    index = column(page, "Entropy")
    page.evaluate(f"document.querySelector({head_button(index)!r}).focus()")
    for key, sort in (("Enter", "ascending"), (" ", "descending")):
        page.key(key)
        need(page.evaluate("probe.heads()")[index]["sort"] == sort, key, "did not sort")
        need(page.evaluate(f"document.activeElement === document.querySelector({head_button(index)!r})"), "focus lost")
    need(values(page, index) == sorted(values(page, index), reverse=True), "not sorted")
    page.close()


def test_filter(b):
    page = b.open()
    total = len(page.evaluate("probe.rows()"))
    page.click("#filter")
    page.type("OPACITY/0000")
    rows = page.evaluate("probe.rows()")
    need(0 < len(rows) < total and all("OPACITY/0000" in row[0] for row in rows), len(rows), "rows")
    need(page.evaluate("probe.said()").startswith(f"{len(rows)} of {total} rows"), page.evaluate("probe.said()"))
    page.click(head_button(0))
    need(len(page.evaluate("probe.rows()")) == len(rows), "sorting forgot the filter")
    page.click(".tools button[type=reset]")
    page.settle()
    need(len(page.evaluate("probe.rows()")) == total, "not cleared")
    page.evaluate("(() => { const s = document.getElementById('only'); s.value = 'corner'; "
                  "s.dispatchEvent(new Event('change')); })()")
    at, rows = column(page, "Beyond threshold"), page.evaluate("probe.rows()")
    need(rows and all("corner" in row[at] for row in rows), "rows that are not beyond the threshold")
    page.close()


def test_row_opens(b):
    page = b.open()
    first = "#images tbody tr:first-child th button"
    page.click(first)
    need(page.evaluate("document.querySelectorAll('#images tr.details').length") == 1, "not opened")
    need(page.evaluate(f"document.querySelector({first!r}).getAttribute('aria-expanded')") == "true", "not said")
    need("Heat upper left" in page.evaluate("document.querySelector('#images tr.details').textContent"), "no details")
    page.key("Escape")
    need(page.evaluate("document.querySelectorAll('#images tr.details').length") == 0, "Escape did not close")
    page.key("Enter")
    need(page.evaluate("document.querySelectorAll('#images tr.details').length") == 1, "Enter did not open")
    page.key("Enter")
    need(page.evaluate(f"document.querySelector({first!r}).getAttribute('aria-expanded')") == "false", "not closed")
    page.close()


LARGE = "document.querySelector('dialog .picture img').getBoundingClientRect().width"


def test_picture_opens(b):
    page = b.open()
    small = page.evaluate("document.querySelector('.telling .picture img').getBoundingClientRect().width")
    page.click(".telling .picture img")
    need(page.evaluate("probe.isOpen()"), "a click did not open it")
    need(page.evaluate(LARGE) > 2 * small, "opened no larger:", page.evaluate(LARGE), "from", small)
    need(page.evaluate("document.querySelector('dialog').getBoundingClientRect().bottom <= innerHeight"), "off the screen")
    page.picture(os.path.join(b.work, "large.png"))
    page.click("dialog .bar button:last-child")
    need(not page.evaluate("probe.isOpen()"), "Close did not close")
    page.close()


def test_picture_by_keyboard(b):
    page = b.open()
    button = ".telling li:nth-child(2) .enlarge"
    page.evaluate(f"document.querySelector({button!r}).focus()")
    page.key("Enter")
    need(page.evaluate("probe.isOpen()"), "Enter did not open it")
    label = "document.querySelector('dialog').getAttribute('aria-label')"
    first = page.evaluate(label)
    page.key("ArrowRight")
    need(page.evaluate(label) != first, "the arrow did not go on")
    page.key("ArrowLeft")
    need(page.evaluate(label) == first, "the arrow did not go back")
    for _ in range(8):
        page.key("Tab")
        need(page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')"),
             "the focus left the open picture")
    page.key("Escape")
    need(not page.evaluate("probe.isOpen()"), "Escape did not close it")
    need(page.evaluate(f"document.activeElement === document.querySelector({button!r})"), "focus did not return")
    page.close()


def test_tab_order(b):
    page = b.open()
    count = page.evaluate("probe.stops()")
    need(count > 120, count, "stops")
    for stop in range(count):
        page.key("Tab")
        focus = page.evaluate("probe.focus()")
        need(focus["stop"] == stop, "stop", stop, "is", focus)
        need(focus["outline"], "the focus cannot be seen on", focus["name"])
        need(focus["onScreen"], "the focus is off the screen on", focus["name"])
    page.key("Tab", shift=True)
    need(page.evaluate("probe.focus()")["stop"] == count - 2, "no way back")
    page.close()


def test_skip_link(b):
    page = b.open()
    page.key("Tab")
    need(page.evaluate("document.activeElement.className") == "skip", "the first stop is not the skip link")
    page.key("Enter")
    page.key("Tab")
    need(page.evaluate("!!document.activeElement.closest('#verdict')"), "it does not lead to the verdict")
    page.close()


def test_screen_reader(b):
    for report in (b.demo, b.hostile):
        page = b.open(report)
        tree = page.tree()
        roles = [node.role for node in tree]
        for role in ("banner", "main", "navigation", "contentinfo", "search"):
            need(roles.count(role) == 1, role, "stands there", roles.count(role), "times")
        for node in tree:
            need(node.role not in ("image", "img", "button", "link", "columnheader", "region", "table", "textbox", "searchbox",
                                   "combobox") or node.name.strip() or node.role == "table", "a", node.role, "has no name")
        images = [node.name for node in tree if node.role in ("image", "img")]
        need(any(name.startswith("Heat over ") for name in images), "no picture says what it is:", images[:4])
        levels = [node.properties.get("level") for node in tree if node.role == "heading"]
        need(levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), "headings", levels)
        heads = page.evaluate("Array.from(document.querySelectorAll('th'), (th) => th.scope)")
        need(all(scope in ("col", "row") for scope in heads), "heads without a scope")
        need(page.evaluate("document.documentElement.lang") == "en" and page.evaluate("document.title"), "no language or title")
        page.close()


def test_contrast(b):
    for report in (b.demo, b.hostile):
        for how in ({}, {"dark": True}, {"width": 390, "height": 844}, {"width": 390, "height": 844, "dark": True}):
            page = b.open(report, **how)
            page.evaluate("document.querySelector('#images tbody button').click()")
            low = [pair for pair in page.evaluate("probe.contrasts()") if pair[1] < LEAST_CONTRAST]
            need(not low, how, "contrasts below 4.5:", low)
            page.close()


def test_phone(b):
    page = b.open(width=390, height=844)
    need(page.evaluate("document.documentElement.scrollWidth") <= 390, "the page is wider than a phone")
    small = page.evaluate("Array.from(document.querySelectorAll('button, input, select')).filter((e) => e.checkVisibility() "
                          "&& e.getBoundingClientRect().height < 20).length")
    need(small == 0, small, "things to press are lower than 20 pixels")
    page.click(".telling .picture img")
    need(page.evaluate("document.querySelector('dialog').getBoundingClientRect().right <= 390"), "a picture opens off the screen")
    page.close()


def test_paper(b):
    page = b.open()
    page.click("#filter")
    page.type("OPACITY/0000")
    path = os.path.join(b.work, "printed.pdf")
    page.pdf(path)
    data = pathlib.Path(path).read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page[^s]", data))
    need(data.startswith(b"%PDF") and 4 <= pages <= 14, pages, "pages")
    page.send("Emulation.setEmulatedMedia", media="print")
    for selector in ("nav", ".tools", ".enlarge"):
        need(not page.evaluate(f"document.querySelector({selector!r}).checkVisibility()"), selector, "is printed")
    low = [pair for pair in page.evaluate("probe.contrasts()") if pair[1] < LEAST_CONTRAST]
    need(not low, "contrasts below 4.5:", low)
    page.close()


def test_without_scripts(b):
    page = b.open(scripts=False)
    tree = page.tree()
    need(sum(node.role == "row" for node in tree) > 120, "the table's rows are not all there")
    need(not any(node.role == "search" for node in tree), "tools that cannot work are shown")
    need(any("need scripts" in node.name for node in tree), "nothing says that scripts are off")
    page.close()


def test_hostile_names(b):
    page = b.open(b.hostile)
    names = [row[0] for row in page.evaluate("probe.rows()")]
    for name in (*reports.HOSTILE_NAMES, "<b onclick=x>.png"):
        need(name in names, name, "is not in the table:", names[:3])
    page.click("#images tbody tr:first-child th button")
    page.click(".telling .picture img")
    need(page.evaluate("window.pwned === undefined"), "a file's name was run")
    need(page.evaluate("document.querySelectorAll('#images script, #images img, #images b').length") == 0, "a name is markup")
    need(not page.complaints(), page.complaints()[:2])
    page.close()


def test_failed_entries(b):
    page = b.open(b.hostile)
    need(len(page.evaluate("probe.rows()")) == b.entries, "not a row each")
    page.evaluate("(() => { const s = document.getElementById('only'); s.value = 'failed'; "
                  "s.dispatchEvent(new Event('change')); })()")
    rows = page.evaluate("probe.rows()")
    need(len(rows) == b.failed, len(rows), "rows failed, expected", b.failed)
    need(all(": " in row[1] for row in rows), "a failed row without its reason")
    page.picture(os.path.join(b.work, "failed.png"))
    page.close()


def test_ten_thousand_rows(b):
    report = pathlib.Path(b.work, "ten-thousand.html").resolve()
    report.write_text(reports.with_rows(b.demo.read_text(), 10000))
    begun = time.monotonic()
    page = b.open(report)
    page.settle()
    opened = time.monotonic() - begun
    need(len(page.evaluate("probe.rows()")) == 200 and "of 10,000 rows" in page.evaluate("probe.said()"), "not the first 200")
    at, begun = column(page, "Entropy"), time.monotonic()
    page.click(head_button(at))
    page.settle()
    sorted_in = time.monotonic() - begun
    need(values(page, at) == sorted(values(page, at)), "not sorted")
    page.click("#rest")
    need(len(page.evaluate("probe.rows()")) == 1200, "not the next 1,000")
    need(page.evaluate("document.activeElement.closest('tr').rowIndex") == 201, "the focus is not on the first new row")
    print(f"10,000 rows: opened in {opened:.1f} s, sorted in {sorted_in:.2f} s")
    need(opened < 60 and sorted_in < 10, "too slow")
    page.close()


def test_no_local_path(b):
    for report in (b.demo, b.hostile):
        text = report.read_text()
        need(str(report.parent.parent) not in text and b.work not in text, "the page tells where its files lie")


def test_region_is_drawn(b):
    page = b.open()
    count = page.evaluate("document.querySelectorAll('.picture svg').length")
    drawn = page.evaluate("document.querySelectorAll('.picture svg .region').length")
    need(count > 4 and drawn == count, drawn, "of", count, "pictures have their region of interest")
    page.close()


def main():
    program, work = sys.argv[1], sys.argv[2]
    if not chromium.find():
        print("test-browser: skipped, there is no Chromium (make deps-browser installs it, or set CHROMIUM)")
        return 0
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    demo = reports.make_demo(program, work)
    hostile = reports.make_hostile(program, demo, work)
    passed = failed = 0
    wanted = sys.argv[3:]
    with chromium.Browser(chromium.find()) as browser:
        bench = Bench(browser, demo, hostile, work)
        for name, test in list(globals().items()):
            if not name.startswith("test_") or (wanted and name not in wanted):
                continue
            try:
                test(bench)
                passed += 1
            except (AssertionError, chromium.Failure) as reason:
                failed += 1
                print(f"FAILED {name}: {reason}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
