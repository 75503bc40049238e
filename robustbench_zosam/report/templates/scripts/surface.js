// The loss on a plane as a surface that can be turned, beside its contours.

import { chosenMethod } from "./link.js";
import { button, embedded, make } from "./page.js";
import { draw } from "./paint.js";
import { inverse, plotBox, within } from "./readout.js";
import { get, onRestore, set } from "./view.js";

const HOME = { yaw: 0.65, pitch: 0.9, zoom: 1, log: true };
const ZOOM = [0.5, 4];
const HELP = "Drag or use the arrow keys to rotate, + and − to zoom, L to switch the scale, Home to reset; " +
  "Shift and arrow keys move the point that is read out.";

/** Builds the surface where the page has planes; returns what draws it again. */
export function startSurface() {
  const found = embedded().surfaces;
  const figure = document.querySelector("#planes figure");
  if (!found || !figure) return () => {};
  const scene = build(figure, found);
  onRestore(() => {
    const [yaw, pitch, zoom, log, row, column] = get("surface").split("_").map(Number);
    const valid = get("surface") !== "" && [yaw, pitch, zoom].every(Number.isFinite);
    Object.assign(scene, valid ? { yaw, pitch, zoom: held(zoom, ...ZOOM), log: log === 1 } : HOME);
    turn(scene, 0, 0); // within its limits
    if (Number.isInteger(row) && Number.isInteger(column)) scene.probe = { row, column };
    follow(scene);
  });
  return () => follow(scene);
}

function build(figure, found) {
  const { methods, scale } = embedded();
  const select = make("select", { id: "surface-method" });
  const beside = make("select", { id: "surface-beside" }, new Option("none", -1));
  found.planes.forEach((plane, i) => {
    for (const each of [select, beside]) each.append(new Option(methods[plane.method].label, i));
  });
  const log = make("input", { type: "checkbox", checked: true, id: "surface-log" });
  const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-describedby": "surface-help" });
  const other = make("canvas", { role: "img", hidden: true });
  const twin = make("div", { className: "twin" });
  const readout = make("output", { className: "read", "aria-live": "polite" });
  const scene = {
    ...HOME, found, methods, scale, plane: found.planes[0], second: null, select, beside, logBox: log,
    canvas, other, twin, readout, probe: null,
  };
  const home = button("Reset view", () => {
    Object.assign(scene, HOME);
    changed(scene);
  });
  figure.querySelector(".panels").before(make("div", { className: "surface" },
    make("div", { className: "tools" },
      make("label", {}, "Model ", select), make("label", {}, "Compared with ", beside), make("label", {}, log, " logarithmic"), home),
    make("div", { className: "views" }, canvas, other, twin),
    make("p", { className: "note" }, readout, make("span", { id: "surface-help" }, HELP))));
  for (const [key, chosen] of [["plane", select], ["beside", beside]]) {
    chosen.addEventListener("change", () => {
      const plane = found.planes[Number(chosen.value)];
      set(key, plane ? methods[plane.method].id : "");
      follow(scene);
    });
  }
  log.addEventListener("change", () => {
    scene.log = log.checked;
    changed(scene);
  });
  canvas.addEventListener("keydown", (event) => press(scene, event));
  for (const each of [canvas, other]) drag(scene, each);
  readContours(scene);
  const resized = new ResizeObserver(() => draw(scene));
  for (const each of [canvas, other]) resized.observe(each);
  return scene;
}

/** Shows the plane of the chosen method. */
function follow(scene) {
  const { methods } = scene;
  const asked = methods.findIndex((each) => each.id === get("plane"));
  const wanted = asked >= 0 ? asked : (chosenMethod() ?? scene.plane.method);
  const index = Math.max(scene.found.planes.findIndex((plane) => plane.method === wanted), 0);
  scene.plane = scene.found.planes[index];
  const pair = scene.found.planes.findIndex((plane) => methods[plane.method].id === get("beside"));
  scene.second = scene.found.planes[pair] ?? null;
  scene.select.value = String(index);
  scene.beside.value = String(pair);
  scene.other.hidden = !scene.second;
  scene.other.parentElement.classList.toggle("two", Boolean(scene.second));
  if (scene.second) scene.other.setAttribute("aria-label", `Loss surface of ${methods[scene.second.method].label}`);
  scene.logBox.checked = scene.log;
  const label = methods[scene.plane.method].label;
  scene.canvas.setAttribute("aria-label", `Loss surface of ${label}`);
  const panel = document.querySelectorAll("#planes .panels > .panel")[index];
  const copied = panel.querySelector("svg").cloneNode(true);
  scene.twin.replaceChildren(copied);
  const n = scene.plane.losses.length;
  const middle = Math.floor(n / 2);
  const inside = scene.probe && [scene.probe.row, scene.probe.column].every((i) => i >= 0 && i < n);
  if (!inside) scene.probe = { row: middle, column: middle };
  draw(scene);
}

/** Draws a changed view, and keeps it in the address. */
function changed(scene) {
  const { yaw, pitch, zoom, log, probe } = scene;
  scene.logBox.checked = log;
  const parts = [yaw, pitch, zoom].map((value) => String(Number(value.toFixed(2))));
  set("surface", [...parts, log ? 1 : 0, probe.row, probe.column].join("_"));
  draw(scene);
}

const held = (value, low, high) => Math.min(Math.max(value, low), high);

function turn(scene, yaw, pitch) {
  scene.yaw = (scene.yaw + yaw) % (2 * Math.PI);
  scene.pitch = held(scene.pitch + pitch, 0.05, 1.5);
}

function press(scene, event) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (way && event.shiftKey) move(scene, scene.probe.row + way[1], scene.probe.column + way[0]);
  else if (way) turn(scene, 0.1 * way[0], 0.08 * way[1]);
  else if (event.key === "+" || event.key === "=") scene.zoom = held(scene.zoom * 1.15, ...ZOOM);
  else if (event.key === "-") scene.zoom = held(scene.zoom / 1.15, ...ZOOM);
  else if (event.key === "l" || event.key === "L") scene.log = !scene.log;
  else if (event.key === "Home") Object.assign(scene, HOME);
  else return;
  event.preventDefault();
  changed(scene);
}

function move(scene, row, column) {
  const last = scene.plane.losses.length - 1;
  scene.probe = { row: held(row, 0, last), column: held(column, 0, last) };
}

function drag(scene, canvas) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, y: event.clientY };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from) {
      turn(scene, (event.clientX - from.x) / 120, (event.clientY - from.y) / 120);
      from = { x: event.clientX, y: event.clientY };
      draw(scene);
    } else if (canvas === scene.canvas) {
      nearest(scene, event);
    }
  });
  const release = () => {
    if (from) changed(scene);
    from = null;
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
}

/** Moves the read-out along with the pointer over the contours. */
function readContours(scene) {
  const { twin } = scene;
  twin.addEventListener("pointermove", (event) => {
    const chart = twin.querySelector("svg");
    const [left, right, bottom, top] = plotBox(chart);
    const place = within(chart, event);
    const { positions } = scene.plane;
    const step = positions[1] - positions[0];
    const index = (value) => Math.round((value - positions[0]) / step);
    move(scene, index(inverse(chart.dataset.y, bottom, top)(place.y)), index(inverse(chart.dataset.x, left, right)(place.x)));
    draw(scene);
  });
}

/** Moves the read-out to the grid point that is seen nearest to the pointer. */
function nearest(scene, event) {
  const box = scene.canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let best = 400; // squared CSS pixels
  let at = null;
  scene.points?.forEach((row, r) => row.forEach((point, c) => {
    const far = point ? (point.x - x) ** 2 + (point.y - y) ** 2 : Infinity;
    if (far < best) [best, at] = [far, [r, c]];
  }));
  if (at) {
    move(scene, ...at);
    draw(scene);
  }
}
