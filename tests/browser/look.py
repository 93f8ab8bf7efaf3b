"""look.py REPORT.html DIR - a report as people get to see it: pictures of the whole page at the width of a desk and of
a phone, light and dark, with the focus on a head of the table, and printed. To be looked at by a person."""
import os
import pathlib
import sys

import chromium


def main():
    report, out = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    os.makedirs(out, exist_ok=True)
    with chromium.Browser(chromium.find()) as browser:
        for name, how in (("desk", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 844}),
                          ("phone-dark", {"width": 390, "height": 844, "dark": True})):
            page = browser.open(report.as_uri(), **how)
            page.settle()
            page.picture(os.path.join(out, name + ".png"), whole=True)
            if name == "desk":
                page.pdf(os.path.join(out, "printed.pdf"))
            page.close()


if __name__ == "__main__":
    main()
