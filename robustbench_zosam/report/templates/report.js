(() => {
  "use strict";
  const root = document.documentElement;
  const theme = document.querySelector(".theme");
  const choose = (choice) => {
    if (choice === "auto") delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const button of theme.children) {
      button.setAttribute("aria-pressed", String(button.dataset.choice === choice));
    }
  };
  theme.hidden = false;
  theme.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button.dataset.choice);
  });
  const asked = /^#theme=(light|dark)$/.exec(location.hash);
  if (asked) choose(asked[1]);

  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  const order = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? a.localeCompare(b) : difference;
  };
  const sort = (table, column) => {
    const head = table.tHead.rows[0].cells;
    const descending = head[column].getAttribute("aria-sort") === "ascending";
    for (const cell of head) cell.setAttribute("aria-sort", "none");
    head[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one, column);
      const b = key(other, column);
      // Rows without a value stay last in both directions.
      return a === "" || b === "" || !descending ? order(a, b) : order(b, a);
    });
    body.append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const label = cell.querySelector(".head");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label.textContent;
      label.replaceChildren(button);
      button.addEventListener("click", () => sort(table, column));
    });
  }
})();
