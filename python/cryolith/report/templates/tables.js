// SPDX-License-Identifier: BSD-3-Clause
"use strict";
(() => {
  for (const head of document.querySelectorAll("table[data-table] th")) {
    head.addEventListener("click", () => {
      const body = head.closest("table").tBodies[0], column = head.cellIndex;
      const down = head.getAttribute("aria-sort") === "ascending";
      const value = (row) => (row.cells[column].dataset.value ?? "").replace(/^nan$/, "");
      const number = [...body.rows].every((row) => value(row) === "" || !Number.isNaN(Number(value(row))));
      const order = number
        ? (a, b) => Number(value(a)) - Number(value(b))
        : (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true });
      // What is not known stays at the end, whichever way the rest is sorted.
      const known = (row) => (value(row) === "" ? 1 : 0);
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort((a, b) => known(a) - known(b) || (down ? -order(a, b) : order(a, b))));
    });
  }
})();
