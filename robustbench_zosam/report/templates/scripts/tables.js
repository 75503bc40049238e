// Tables that sort, filter, and leave as CSV.

import { button, copy, download, make } from "./page.js";
import { get, onRestore, set } from "./view.js";

const FILTERED = 5; // rows, from which on a table has a filter

/** Gives every table its tools. */
export function startTables() {
  for (const section of document.querySelectorAll("main section")) {
    [...section.querySelectorAll(".box > table")].forEach((table, i) => {
      start(table, `${section.id}-${i}`);
    });
  }
}

function start(table, id) {
  const rows = [...table.tBodies[0].rows];
  rows.forEach((row, i) => (row.dataset.place = i));
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const label = head.querySelector(".head") ?? head;
    const words = label.textContent;
    if (!words) return;
    const sorter = button(words, () => {
      const ascending = head.getAttribute("aria-sort") === "ascending";
      set(`sort-${id}`, `${column}.${ascending ? "down" : "up"}`);
      sort(table, id);
    });
    label.replaceChildren(sorter);
  });
  const tools = make("div", { className: "tools" });
  if (rows.length >= FILTERED) tools.append(...filter(table, id));
  tools.append(
    button("Copy", (event) => copy(separated(table, "\t"), event.target), named("Copy", table)),
    button("CSV", () => download(`${id}.csv`, "text/csv", separated(table, ",")), named("CSV", table)),
  );
  table.parentElement.before(tools);
  onRestore(() => sort(table, id));
}

const named = (verb, table) => ({ "aria-label": `${verb}: ${table.caption.textContent}` });

function filter(table, id) {
  const count = make("span", { className: "count", role: "status" });
  const input = make("input", {
    type: "search",
    placeholder: "Filter rows",
    "aria-label": `Filter rows: ${table.caption.textContent}`,
  });
  const apply = () => {
    const words = get(`filter-${id}`).toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows].filter((row) => !row.matches(".category"));
    let left = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      left += !row.hidden;
    }
    count.textContent = !words.length ? "" : left ? `${left} of ${rows.length}` : "No row has these words.";
    group(table, id);
  };
  input.addEventListener("input", () => {
    set(`filter-${id}`, input.value.trim());
    apply();
  });
  onRestore(() => {
    if (document.activeElement !== input) input.value = get(`filter-${id}`);
    apply();
  });
  return [input, count];
}

/** Shows the names of groups only where rows stand in their groups and none is filtered out. */
function group(table, id) {
  const apart = get(`sort-${id}`) !== "" || get(`filter-${id}`) !== "";
  for (const row of table.querySelectorAll("tr.category")) row.hidden = apart;
}

function key(row, column) {
  const cell = row.cells[column];
  return cell?.dataset.sort ?? cell?.textContent.trim().replace(/^[–]$/, "") ?? "";
}

function order(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [a, b].map((text) => Number.parseFloat(text.replace("−", "-").replace(/^<\s*/, "")));
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}

function sort(table, id) {
  const [column, way] = get(`sort-${id}`).split(".");
  const heads = table.tHead.rows[0].cells;
  const known = column !== "" && heads[column] !== undefined;
  for (const head of heads) head.setAttribute("aria-sort", "none");
  if (known) heads[column].setAttribute("aria-sort", way === "down" ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    const fixed = other.matches(".primary") - one.matches(".primary");
    const place = one.dataset.place - other.dataset.place;
    if (fixed || !known) return fixed || place;
    const a = key(one, column);
    const b = key(other, column);
    // Rows without a value stay last in both directions.
    const turned = way === "down" && a !== "" && b !== "" ? order(b, a) : order(a, b);
    return turned || place;
  });
  table.tBodies[0].append(...rows);
  group(table, id);
}

const PARTS = [[""], [""], [" low", " high"], ["", " low", " high"]];

/** Returns a table as text: numbers with all digits in the unit of the head, both limits beside them. */
function separated(table, mark) {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden && !row.matches(".category"));
  const heads = [...table.tHead.rows[0].cells];
  const digits = (cell) => (cell?.dataset.v ? cell.dataset.v.split(" ") : []);
  const columns = heads.map((head, i) => {
    const cells = rows.map((row) => row.cells[i]);
    const parts = Math.max(...cells.map((cell) => digits(cell).length), 0);
    const noted = !parts && cells.some((cell) => cell?.matches("td") && cell.querySelector("small"));
    return { name: words(head), parts, noted };
  });
  const names = columns.flatMap(({ name, parts, noted }) => [
    ...PARTS[parts].map((end) => name + end), ...(noted ? [`${name}: note`] : [])]);
  const lines = rows.map((row) => columns.flatMap(({ parts, noted }, i) => {
    const cell = row.cells[i];
    if (noted) return [words(cell, true), words(cell.querySelector("small"))];
    if (!parts) return [words(cell)];
    const found = digits(cell);
    // A number without limits leaves theirs empty; where there is none, the page's word says why.
    return found.length ? [...found, ...Array(parts - found.length).fill("")] : [words(cell), ...Array(parts - 1).fill("")];
  }));
  return [names, ...lines].map((line) => line.map((text) => quoted(text, mark)).join(mark)).join("\r\n") + "\r\n";
}

function words(element, alone = false) {
  if (!element) return "";
  const copied = element.cloneNode(true);
  for (const note of copied.querySelectorAll("small")) alone ? note.remove() : note.prepend(" ");
  return copied.textContent.replace(/\s+/g, " ").trim();
}

function quoted(text, mark) {
  const plain = text.replace(/^−(?=[\d.])/, "-").replaceAll("\u00a0", " ");
  // A spreadsheet would compute what begins like a formula.
  const safe = /^[=+@\t]|^-(?![\d.])/.test(plain) && Number.isNaN(Number(plain)) ? `'${plain}` : plain;
  return safe.includes(mark) || /["\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
