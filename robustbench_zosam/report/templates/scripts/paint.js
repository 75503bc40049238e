// Draws a surface onto its canvas.

import { TALL, camera, heights, quads, share } from "./mesh.js";
import { shown } from "./page.js";
import { plotBox } from "./readout.js";

/** Draws the surface, and the one beside it, and marks the point that is read out. */
export function draw(scene) {
  if (!scene.probe) return;
  const points = surface(scene, scene.canvas, scene.plane);
  if (!points) return;
  scene.points = points;
  if (scene.second) surface(scene, scene.other, scene.second);
  tell(scene);
}

/** Draws a plane and returns where its grid points are seen, null while the canvas has no size. */
function surface(scene, canvas, plane) {
  const { found } = scene;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return null;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const colours = getComputedStyle(canvas);
  const project = camera(scene.yaw, scene.pitch, scene.zoom, width, height);
  const corner = frame(pen, project, colours);
  const mesh = quads(heights(plane, found.limits, scene.log), project, plane.positions.at(-1) / found.reach);
  for (const { r, c, corners } of mesh.quads) {
    const ends = [plane.losses[r][c], plane.losses[r][c + 1], plane.losses[r + 1][c + 1], plane.losses[r + 1][c]];
    const mean = ends.reduce((sum, loss) => sum + share(loss, found.limits), 0) / ends.length;
    pen.fillStyle = scene.scale[Math.round(mean * (scene.scale.length - 1))];
    pen.strokeStyle = colours.getPropertyValue("--rule");
    pen.lineWidth = 0.5;
    outline(pen, corners);
    pen.fill();
    pen.stroke();
  }
  label(pen, project, colours, scene, corner);
  mark(pen, colours, mesh.points[scene.probe.row]?.[scene.probe.column]);
  return mesh.points;
}

function outline(pen, corners) {
  pen.beginPath();
  corners.forEach((corner, i) => (i ? pen.lineTo(corner.x, corner.y) : pen.moveTo(corner.x, corner.y)));
  pen.closePath();
}

const CORNERS = [[-1, -1], [1, -1], [1, 1], [-1, 1]];

/** Draws the floor and the upright axis at its leftmost corner, which it returns. */
function frame(pen, project, colours) {
  const base = CORNERS.map(([x, y]) => project(x, y, -TALL));
  pen.strokeStyle = colours.getPropertyValue("--muted");
  pen.lineWidth = 1;
  outline(pen, base);
  pen.stroke();
  const left = base.reduce((best, at, i) => (at.x < base[best].x ? i : best), 0);
  const [x, y] = CORNERS[left];
  const top = project(x, y, TALL);
  pen.beginPath();
  pen.moveTo(base[left].x, base[left].y);
  pen.lineTo(top.x, top.y);
  pen.stroke();
  return [x, y];
}

function label(pen, project, colours, scene, [x, y]) {
  pen.fillStyle = colours.color;
  pen.font = `11px ${colours.fontFamily}`;
  pen.textAlign = "right";
  const [low, high] = scene.found.limits;
  const ticks = scene.log ? [low, Math.sqrt(low * high), high] : [0, high / 2, high];
  ticks.forEach((loss, i) => {
    const at = project(x, y, TALL * (i - 1));
    const words = shown(Number(loss.toPrecision(2)));
    pen.fillText(words, Math.max(at.x - 6, pen.measureText(words).width + 4), at.y + 4);
  });
  pen.textAlign = "left";
  pen.fillText(`loss (nats)${scene.log ? ", logarithmic" : ""}`, 10, 18);
}

function mark(pen, colours, point) {
  if (!point) return;
  pen.beginPath();
  pen.arc(point.x, point.y, 4.5, 0, 2 * Math.PI);
  pen.fillStyle = colours.getPropertyValue("--bad");
  pen.fill();
  pen.strokeStyle = "#fff";
  pen.lineWidth = 1.5;
  pen.stroke();
}

const nats = (loss) => (loss === null ? "not finite" : `${shown(loss)} nats`);

/** Says what the loss is at the point that is read out, and shows it among the contours. */
function tell(scene) {
  const { row, column } = scene.probe;
  const { positions, losses } = scene.plane;
  const other = scene.second;
  const step = other && other.positions[1] - other.positions[0];
  const nearest = (i) => Math.round((positions[i] - other.positions[0]) / step);
  const beside = other?.losses[nearest(row)]?.[nearest(column)];
  scene.readout.textContent = `At (${shown(positions[column])}, ${shown(positions[row])}): ` +
    `${nats(losses[row][column])}${beside === undefined ? "" : `, compared with ${nats(beside)}`}. `;
  const chart = scene.twin.querySelector("svg");
  const [left, right, bottom, top] = plotBox(chart);
  const { edge } = scene.found;
  const along = (i, start, end) => start + ((positions[i] + edge) / (2 * edge)) * (end - start);
  let dot = chart.querySelector(".probe");
  if (!dot) {
    dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    dot.setAttribute("class", "probe");
    dot.setAttribute("r", "4");
    chart.append(dot);
  }
  dot.setAttribute("cx", along(column, left, right));
  dot.setAttribute("cy", along(row, bottom, top));
}
