// Sorts tables, filters the sites, copies code. Without it the page shows the same.
(() => {
  "use strict";

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const compared = (a, b) => {
    if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
    return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : a - b;
  };

  const sort = (table, column, numeric, falling) => {
    const key = (row) =>
      numeric ? Number(row.cells[column].dataset.value ?? NaN) : row.cells[column].textContent;
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => (falling && !Number.isNaN(a) && !Number.isNaN(b) ? compared(b, a) : compared(a, b)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const numeric = head.classList.contains("number");
      const button = make("button", { type: "button", textContent: head.textContent });
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const falling = before ? before === "ascending" : numeric && column > 0;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        sort(table, column, numeric, falling);
      });
      head.replaceChildren(button);
    });
  };

  const filterable = (article, table) => {
    const places = [...article.querySelectorAll("[data-site]")];
    const rows = [...table.tBodies[0].rows];
    const words = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const ailing = make("input", { type: "checkbox" });
    const count = make("output", {});
    const refresh = () => {
      const wanted = words.value.trim().toLowerCase().split(/\s+/);
      const shown = new Set(
        rows
          .filter((row) => !ailing.checked || "ailing" in row.dataset)
          .filter((row) => wanted.every((word) => row.textContent.toLowerCase().includes(word)))
          .map((row) => row.dataset.site),
      );
      for (const place of places) place.hidden = !shown.has(place.dataset.site);
      count.textContent = `${shown.size} of ${rows.length} sites`;
    };
    words.addEventListener("input", refresh);
    ailing.addEventListener("change", refresh);
    refresh();
    return make(
      "div",
      { className: "filter" },
      make("label", {}, "Show sites with ", words),
      make("label", {}, ailing, " only those with findings"),
      count,
    );
  };

  const selected = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return document.execCommand("copy");
  };

  const copyable = (code) => {
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    const told = (done) => {
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    };
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", () => {
      const writing = navigator.clipboard?.writeText(code.textContent) ?? Promise.reject();
      writing.then(() => told(true)).catch(() => told(selected(code)));
    });
    code.after(button);
  };

  const opened = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };

  document.querySelectorAll("table.sortable").forEach(sortable);
  for (const article of document.querySelectorAll("article")) {
    const table = article.querySelector("table.sites");
    if (table && table.tBodies[0].rows.length > 1) {
      article.querySelector(".sites-begin").append(filterable(article, table));
    }
  }
  document.querySelectorAll("pre").forEach(copyable);
  addEventListener("hashchange", opened);
  opened();
})();
