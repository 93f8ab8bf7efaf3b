/* page_probe.js - what a test asks a page: contrasts of its text, where its focus is and how it shows, its table. */
(() => {
  const channels = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const over = (top, below) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha));
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const base = () => (matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255]);
  /* Everything that is painted under an element's text, from the page up. */
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(channels(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => (layer.length ? over(layer, below) : below), base());
  };
  const visible = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const path = (e) => (e.id ? "#" + e.id : e.localName + (typeof e.className === "string" && e.className ? "." + e.className.trim().replace(/\s+/g, ".") : ""));
  const probe = {};

  /* The lowest contrasts of visible text with what lies under it, one entry a kind of element. */
  probe.contrasts = () => {
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const e = node.parentElement;
      if (!node.textContent.trim() || e.closest("script, style, noscript, option") || !visible(e)) continue;
      const style = getComputedStyle(e);
      const below = background(e);
      const color = channels(e instanceof SVGElement ? style.fill : style.color);
      const value = ratio(over(color, below), below);
      const name = path(e);
      if (!found.has(name) || found.get(name) > value) found.set(name, value);
    }
    return Array.from(found).sort((a, b) => a[1] - b[1]);
  };

  const focusable = "a[href], button, input, select, textarea, summary, [tabindex]";
  probe.stops = () => {
    const all = Array.from(document.querySelectorAll(focusable));
    window.probeStops = all.filter((e) => e.tabIndex >= 0 && !e.disabled && visible(e) && !e.closest("dialog:not([open])"));
    return window.probeStops.length;
  };
  /* The number of the stop that has the focus, and whether a person can see that. */
  probe.focus = () => {
    const e = document.activeElement;
    const style = getComputedStyle(e);
    const box = e.getBoundingClientRect();
    return {
      stop: window.probeStops.indexOf(e),
      name: path(e) + " " + e.textContent.trim().slice(0, 30),
      outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && ratio(channels(style.outlineColor), background(e.parentElement)) >= 3,
      onScreen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    };
  };

  probe.heads = () => Array.from(document.querySelectorAll("#images thead th"), (th) => ({ text: th.textContent.trim(), sort: th.getAttribute("aria-sort"), number: th.classList.contains("n"), shown: visible(th) }));
  probe.rows = () => Array.from(document.querySelectorAll("#images tbody tr:not(.details)"), (row) => Array.from(row.cells, (cell) => cell.textContent.trim()));
  probe.said = () => document.querySelector(".tools output").textContent;
  probe.isOpen = () => { const d = document.querySelector("dialog"); return !!d && d.open; };
  window.probe = probe;
})();
