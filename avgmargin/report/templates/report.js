"use strict";
// Filters and sorts the tables of the page. Without scripts the page is complete; this only helps to find one's way.
for (const table of document.querySelectorAll("table[data-filter]")) {
  const rows = [...table.tBodies[0].rows];
  const words = [...new Set(rows.flatMap((row) => [...row.querySelectorAll(".chip")].map((chip) => chip.textContent)))];
  const bar = document.createElement("form");
  bar.className = "filter";
  bar.setAttribute("role", "search");
  bar.addEventListener("submit", (event) => event.preventDefault());
  const text = document.createElement("input");
  text.type = "search";
  text.placeholder = `filter by ${table.dataset.filter}`;
  text.setAttribute("aria-label", text.placeholder);
  const chosen = new Set();
  const count = document.createElement("output");
  const show = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      const chips = [...row.querySelectorAll(".chip")].map((chip) => chip.textContent);
      const fits = wanted.every((word) => content.includes(word)) && [...chosen].every((word) => chips.includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  text.addEventListener("input", show);
  bar.append(text);
  for (const word of words.sort()) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = word.toLowerCase();
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      chosen[chosen.has(word) ? "delete" : "add"](word);
      button.setAttribute("aria-pressed", String(chosen.has(word)));
      show();
    });
    bar.append(button);
  }
  bar.append(count);
  table.parentElement.before(bar);
  show();
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].textContent.trim();
      const order = (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
      table.tBodies[0].append(...[...rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
    });
  });
}
