// The loss on a plane as a surface that can be turned, beside its contours.

import { chosenMethod } from "./link.js";
import { button, embedded, make } from "./page.js";
import { draw } from "./paint.js";
import { inverse, plotBox, within } from "./readout.js";
import { get, onRestore, set } from "./view.js";

const HOME = { yaw: 0.65, pitch: 0.9, zoom: 1, log: true };
const HELP = "Drag or use the arrow keys to turn, + and − to zoom, L for the scale, Home to go back; " +
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
    Object.assign(scene, valid ? { yaw, pitch, zoom, log: log === 1 } : HOME);
    if (Number.isInteger(row) && Number.isInteger(column)) scene.probe = { row, column };
    follow(scene);
  });
  return () => follow(scene);
}

function build(figure, found) {
  const { methods, scale } = embedded();
  const select = make("select", { id: "surface-method" });
  found.planes.forEach((plane, i) => select.append(new Option(methods[plane.method].label, i)));
  const log = make("input", { type: "checkbox", checked: true, id: "surface-log" });
  const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-describedby": "surface-help" });
  const twin = make("div", { className: "twin" });
  const readout = make("output", { className: "read", "aria-live": "polite" });
  const scene = {
    ...HOME, found, methods, scale, plane: found.planes[0], select, logBox: log, canvas, twin, readout, probe: null,
  };
  const home = button("Reset view", () => {
    Object.assign(scene, HOME);
    changed(scene);
  });
  figure.querySelector(".panels").before(make("div", { className: "surface" },
    make("div", { className: "tools" },
      make("label", {}, "Model ", select), make("label", {}, log, " logarithmic"), home),
    make("div", { className: "views" }, canvas, twin),
    make("p", { className: "note" }, readout, make("span", { id: "surface-help" }, HELP))));
  select.addEventListener("change", () => {
    const method = methods[scene.found.planes[Number(select.value)].method].id;
    set("plane", method);
    follow(scene);
  });
  log.addEventListener("change", () => {
    scene.log = log.checked;
    changed(scene);
  });
  canvas.addEventListener("keydown", (event) => press(scene, event));
  drag(scene);
  new ResizeObserver(() => draw(scene)).observe(canvas);
  return scene;
}

/** Shows the plane of the chosen method. */
function follow(scene) {
  const { methods } = scene;
  const asked = methods.findIndex((each) => each.id === get("plane"));
  const wanted = asked >= 0 ? asked : (chosenMethod() ?? scene.plane.method);
  const index = Math.max(scene.found.planes.findIndex((plane) => plane.method === wanted), 0);
  scene.plane = scene.found.planes[index];
  scene.select.value = String(index);
  scene.logBox.checked = scene.log;
  const label = methods[scene.plane.method].label;
  scene.canvas.setAttribute("aria-label", `Loss surface of ${label}`);
  const panel = document.querySelectorAll("#planes .panels > .panel")[index];
  const copied = panel.querySelector("svg").cloneNode(true);
  scene.twin.replaceChildren(copied);
  const n = scene.plane.losses.length;
  const middle = Math.floor(n / 2);
  const inside = scene.probe && scene.probe.row < n && scene.probe.column < n;
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

function turn(scene, yaw, pitch) {
  scene.yaw = (scene.yaw + yaw) % (2 * Math.PI);
  scene.pitch = Math.min(Math.max(scene.pitch + pitch, 0.05), 1.5);
}

function press(scene, event) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (way && event.shiftKey) move(scene, scene.probe.row + way[1], scene.probe.column + way[0]);
  else if (way) turn(scene, 0.1 * way[0], 0.08 * way[1]);
  else if (event.key === "+" || event.key === "=") scene.zoom = Math.min(scene.zoom * 1.15, 4);
  else if (event.key === "-") scene.zoom = Math.max(scene.zoom / 1.15, 0.5);
  else if (event.key === "l" || event.key === "L") scene.log = !scene.log;
  else if (event.key === "Home") Object.assign(scene, HOME);
  else return;
  event.preventDefault();
  changed(scene);
}

function move(scene, row, column) {
  const last = scene.plane.losses.length - 1;
  const held = (value) => Math.min(Math.max(value, 0), last);
  scene.probe = { row: held(row), column: held(column) };
}

function drag(scene) {
  const { canvas, twin } = scene;
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      turn(scene, (event.clientX - held.x) / 120, (event.clientY - held.y) / 120);
      held = { x: event.clientX, y: event.clientY };
      draw(scene);
    } else {
      nearest(scene, event);
    }
  });
  const release = () => {
    if (held) changed(scene);
    held = null;
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
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
