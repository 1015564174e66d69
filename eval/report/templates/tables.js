"use strict";
// Tables are complete without this script; it adds sorting by a click on a heading, and filtering.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const key = (row, index) => {
    const cell = row.cells[index];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  headings.forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      // Numbers start with the largest, names with the first; the third click restores the given order.
      const numeric = heading.classList.contains("number");
      const order = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const next = order[(order.indexOf(heading.getAttribute("aria-sort")) + 1) % 3];
      for (const other of headings) other.removeAttribute("aria-sort");
      let rows = original;
      if (next) {
        heading.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        rows = [...original].sort((a, b) => sign * compare(key(a, index), key(b, index)));
      }
      body.append(...rows);
    });
  });
}
for (const filter of document.querySelectorAll(".filter")) {
  const input = filter.querySelector("input");
  const output = filter.querySelector("output");
  const rows = [...filter.parentElement.querySelectorAll("tbody tr")];
  const update = () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} of ${rows.length} shown`;
  };
  input.addEventListener("input", update);
  filter.hidden = false;
  update();
}
