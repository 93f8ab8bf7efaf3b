"use strict";
/* report.js - pictures open large; the table of all images is sorted, filtered, its rows opened. All else reads without it. */
(function () {
  const figures = Array.from(document.querySelectorAll(".hero, .telling figure")).filter((figure) => figure.querySelector(".picture"));
  const dialog = document.createElement("dialog");
  const make = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (tag === "button") made.type = "button";
    return made;
  };
  const title = make("b", "");
  const back = make("button", "Previous");
  const on = make("button", "Next");
  const shut = make("button", "Close");
  const place = make("figure", "");
  const bar = make("p", "");
  const buttons = make("span", "");
  let at = 0;

  function show(index) {
    const name = figures[index].querySelector("figcaption b").textContent;
    at = index;
    place.replaceChildren(...Array.from(figures[index].children, (child) => child.cloneNode(true)));
    place.querySelectorAll(".enlarge").forEach((button) => button.remove());
    title.textContent = "Picture " + (index + 1) + " of " + figures.length;
    dialog.setAttribute("aria-label", title.textContent + ": " + name);
    back.disabled = index === 0;
    on.disabled = index === figures.length - 1;
  }

  function step(by) {
    const next = at + by;
    if (next < 0 || next >= figures.length) return;
    show(next);
    if (document.activeElement === document.body) (by < 0 ? on : back).focus();
  }

  if (figures.length === 0 || !dialog.showModal) return;
  bar.className = "bar";
  title.setAttribute("aria-live", "polite");
  buttons.append(back, " ", on, " ", shut);
  bar.append(title, buttons);
  dialog.append(bar, place);
  document.body.append(dialog);
  back.addEventListener("click", () => step(-1));
  on.addEventListener("click", () => step(1));
  shut.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  figures.forEach((figure, index) => {
    const pictures = figure.querySelector(".pictures");
    const button = make("button", "Enlarge");
    const open = () => {
      show(index);
      dialog.showModal();
      shut.focus();
    };
    button.className = "enlarge";
    button.setAttribute("aria-label", "Enlarge " + figure.querySelector("figcaption b").textContent);
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", open);
    pictures.append(button);
    pictures.addEventListener("click", (event) => {
      if (event.target.closest(".picture")) {
        button.focus({ preventScroll: true });
        open();
      }
    });
  });
})();
(function () {
  const page = 200; // rows shown at first: a browser lays out a few hundred at once
  const more = 1000; // rows that are then added at a time
  const table = document.getElementById("images");
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const titles = heads.map((cell) => cell.textContent.trim());
  const rows = Array.from(body.rows);
  const field = document.getElementById("filter");
  const only = document.getElementById("only");
  const said = document.querySelector(".tools output");
  const rest = document.getElementById("rest");
  const count = new Intl.NumberFormat("en");
  const at = (title) => titles.indexOf(title);
  const columns = { status: at("Status"), label: at("Label"), predicted: at("Predicted"), beyond: at("Beyond threshold") };
  let order = rows;
  let shown = page;

  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (row, column) => {
    const value = parseFloat(text(row, column).replace("\u2212", "-"));
    return Number.isNaN(value) ? null : value;
  };

  function keeps(row, needle, choice) {
    if (needle && !row.textContent.toLowerCase().includes(needle)) return false;
    if (!choice) return true;
    if (choice === "failed") return text(row, columns.status) !== "ok";
    if (choice === "wrong") return text(row, columns.label) !== "" && text(row, columns.predicted) !== "" && text(row, columns.label) !== text(row, columns.predicted);
    return text(row, columns.beyond).split(", ").includes(choice);
  }

  function show() {
    const needle = field.value.trim().toLowerCase();
    const kept = order.filter((row) => keeps(row, needle, only.value));
    rows.forEach(close);
    body.replaceChildren(...kept.slice(0, shown));
    rest.hidden = kept.length <= shown;
    rest.textContent = "Show the next " + count.format(Math.min(more, kept.length - shown)) + " rows";
    said.textContent = count.format(kept.length) + " of " + count.format(rows.length) + " rows" + (rest.hidden ? "" : ", the first " + count.format(shown) + " shown");
  }

  function sort(column) {
    const head = heads[column];
    const up = head.getAttribute("aria-sort") !== "ascending";
    const sign = up ? 1 : -1;
    const numeric = head.classList.contains("n");
    const keyed = rows.map((row, index) => ({ row, index, key: numeric ? number(row, column) : text(row, column).toLowerCase() }));
    keyed.sort((a, b) => {
      const empty = (key) => key === null || key === "";
      if (empty(a.key) !== empty(b.key)) return empty(a.key) ? 1 : -1; // what is missing stands last
      if (a.key === b.key || empty(a.key)) return a.index - b.index;
      return (a.key < b.key ? -1 : 1) * sign;
    });
    heads.forEach((cell) => cell.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    order = keyed.map((entry) => entry.row);
    show();
  }

  function details(row) {
    const made = document.createElement("tr");
    const cell = made.insertCell();
    const list = document.createElement("dl");
    made.className = "details";
    cell.colSpan = heads.length;
    heads.forEach((head, column) => {
      const entry = document.createElement("div");
      const name = document.createElement("dt");
      const value = document.createElement("dd");
      name.textContent = titles[column];
      value.textContent = text(row, column) || "\u2013";
      entry.append(name, value);
      list.append(entry);
    });
    cell.append(list);
    return made;
  }

  function close(row) {
    if (!row.classList.contains("open")) return;
    row.classList.remove("open");
    row.querySelector("button").setAttribute("aria-expanded", "false");
    if (row.nextElementSibling && row.nextElementSibling.className === "details") row.nextElementSibling.remove();
  }

  function toggle(row) {
    if (row.classList.contains("open")) {
      close(row);
      return;
    }
    row.classList.add("open");
    row.querySelector("button").setAttribute("aria-expanded", "true");
    row.after(details(row));
  }

  document.documentElement.className = "js";
  rows.forEach((row) => row.querySelector("button").setAttribute("aria-expanded", "false"));
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (head && event.target.closest("button")) sort(heads.indexOf(head));
  });
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) toggle(button.closest("tr"));
  });
  body.addEventListener("keydown", (event) => {
    const row = event.key === "Escape" && event.target.closest("tr");
    if (row) close(row);
  });
  const again = () => {
    shown = page;
    show();
  };
  field.form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", again);
  only.addEventListener("change", again);
  field.form.addEventListener("reset", () => setTimeout(again));
  rest.addEventListener("click", () => {
    const first = shown;
    shown += more;
    show();
    body.rows[first].querySelector("button").focus();
  });
  addEventListener("beforeprint", () => {
    shown = Infinity;
    show();
  });
  show();
})();
