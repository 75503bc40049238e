// What lies under the pointer, in words: values of lines, and the numbers of a comparison.

import { embedded, make, shown } from "./page.js";

let names;
let tip;

/** Shows values beside the pointer. */
export function startReadout() {
  names = embedded();
  tip = make("div", { className: "tip", "aria-hidden": "true", hidden: true });
  document.body.append(tip);
  document.addEventListener("pointermove", (event) => show(event));
  document.addEventListener("pointerdown", (event) => show(event));
  document.documentElement.addEventListener("pointerleave", () => (tip.hidden = true));
  document.addEventListener("scroll", () => (tip.hidden = true), { passive: true });
}

function show(event) {
  const chart = event.target.closest?.(".panel svg.chart");
  const lines = chart && (chart.dataset.box ? values(chart, event) : row(chart, event));
  tip.hidden = !lines?.length;
  if (tip.hidden) return;
  tip.replaceChildren(...lines.map((line) => make("div", {}, ...[line].flat())));
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 16;
  const fits = below + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${fits ? below : Math.max(event.clientY - tip.offsetHeight - 12, 8)}px`;
}

/** Returns a function from places along an axis to values. */
export function inverse(ends, start, end) {
  const [low, high, kind] = ends.split(" ");
  const [a, b] = [Number(low), Number(high)];
  return (place) => {
    const share = (place - start) / (end - start);
    return kind === "log" ? a * (b / a) ** share : a + share * (b - a);
  };
}

/** Returns the left, right, lower and upper edge of the plot in a chart. */
export const plotBox = (chart) => chart.dataset.box.split(" ").map(Number);

/** Returns the pointer's place in the coordinates of a chart. */
export function within(chart, event) {
  const point = new DOMPoint(event.clientX, event.clientY);
  return point.matrixTransform(chart.getScreenCTM().inverse());
}

function values(chart, event) {
  const [left, right, bottom, top] = plotBox(chart);
  const place = within(chart, event);
  if (place.x < left - 4 || place.x > right + 4 || place.y < top || place.y > bottom) return null;
  const [toX, toY] = [inverse(chart.dataset.x, left, right), inverse(chart.dataset.y, bottom, top)];
  const found = [...chart.querySelectorAll(":scope > g")].flatMap(curves);
  if (!found.length) return null;
  const places = found.flatMap((curve) => curve.points.map((point) => point.x));
  const asked = Math.min(Math.max(place.x, Math.min(...places)), Math.max(...places));
  const there = found.filter((curve) => reaches(curve, asked)).map((curve) => ({
    ...curve,
    near: curve.points.reduce((a, b) => (Math.abs(b.x - asked) < Math.abs(a.x - asked) ? b : a)),
  }));
  if (!there.length) return null;
  there.sort((one, other) => one.near.y - other.near.y);
  const most = [...there].sort((one, other) => Math.abs(one.near.y - place.y) - Math.abs(other.near.y - place.y)).slice(0, 12);
  const label = chart.querySelector(":scope > text.a")?.textContent ?? "";
  const at = most[0].near.x;
  return [
    make("b", {}, `${label} ${shown(toX(at))}`),
    ...there.filter((one) => most.includes(one)).map((one) => [...named(one), ` ${shown(toY(one.near.y))}`]),
  ];
}

/** Returns the lines that a group shows; markers alone are one line. */
function curves(group) {
  const method = group.dataset.m;
  const lines = [...group.querySelectorAll(":scope > polyline")];
  const marks = [...group.querySelectorAll(":scope > use")];
  if (![...lines, ...marks][0]?.getClientRects().length) return [];
  if (lines.length) return lines.map((line) => ({ method, name: line.dataset.n, points: [...line.points] }));
  const places = marks.map((mark) => mark.transform.baseVal[0].matrix);
  return [{ method, points: places.map(({ e, f }) => ({ x: e, y: f })) }];
}

/** Says whether a curve has values at a place; it may end before, or leave some out. */
function reaches({ points }, x) {
  const places = points.map((point) => point.x);
  return Math.min(...places) - 6 < x && x < Math.max(...places) + 6;
}

function named({ method, name }) {
  const drawing = document.querySelector(`.legend [data-m="${method}"] .swatch`);
  const words = [names.methods[method]?.label, name].filter(Boolean).join(", ");
  return [...(drawing ? [drawing.cloneNode(true)] : []), words];
}

/** Returns the numbers that the table of the figure has for a row of the chart. */
function row(chart, event) {
  const mark = event.target.closest("[data-c][data-m]");
  if (!mark) return null;
  const tables = chart.closest("section").querySelectorAll(`table[data-of="${mark.dataset.m}"]`);
  for (const table of tables) {
    const found = table.querySelector(`tr[data-c="${mark.dataset.c}"]`);
    if (found) {
      const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
      return [
        make("b", {}, found.cells[0].textContent),
        ...[...found.cells].slice(1).map((cell, i) => `${heads[i + 1]}: ${cell.textContent}`),
      ];
    }
  }
  return null;
}
