// Each figure as one SVG file: what is on the page, with the colours it has there.

import { button, copy, download, make } from "./page.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const KEPT = [
  "fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size",
  "font-weight", "text-anchor",
];
const GAP = 24;
const TITLE = 22;

/** Gives every figure that is drawn its buttons. */
export function startFigures() {
  for (const figure of document.querySelectorAll("main figure")) {
    const panels = () => (figure.matches(".panel") ? [figure] : [...figure.querySelectorAll(".panel")]);
    if (!panels().some(picture)) continue;
    const section = figure.closest("section");
    const title = (figure.matches(".panel") ? figure : section).querySelector("h2, h3").textContent;
    const drawn = () => composed(figure, panels(), title);
    const named = (verb) => ({ "aria-label": `${verb}: ${title}` });
    figure.prepend(make("div", { className: "tools" },
      button("Copy", (event) => copy(drawn(), event.target), named("Copy figure")),
      button("SVG", () => download(`${section.id}.svg`, "image/svg+xml", drawn()), named("SVG"))));
  }
}

function element(tag, attributes = {}) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const picture = (panel) => panel.querySelector("svg:not(.swatch), img");

/** Returns the natural size of a drawing, and of an image that on the page. */
function sizeOf(drawn) {
  if (drawn.viewBox) return drawn.viewBox.baseVal;
  return { width: drawn.clientWidth || drawn.naturalWidth, height: drawn.clientHeight || drawn.naturalHeight };
}

const seen = (element) => element.getClientRects().length > 0;

function composed(figure, all, title) {
  const panels = all.some(seen) ? all.filter(seen) : all;
  const sizes = panels.map((panel) => sizeOf(picture(panel)));
  const wide = Math.max(...sizes.map((size) => size.width)) + GAP;
  const tall = Math.max(...sizes.map((size) => size.height)) + GAP + TITLE;
  const columns = Math.min(panels.length, Math.max(1, Math.floor(1000 / wide)));
  const entries = [...figure.querySelectorAll(".legend li")].filter(seen);
  const legend = entries.length * 18 + GAP;
  const style = getComputedStyle(document.documentElement);
  const width = columns * wide + GAP;
  const height = Math.ceil(panels.length / columns) * tall + TITLE + legend + GAP;
  const root = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
  const line = (words, x, y, more = {}) => {
    const made = element("text", {
      x, y, fill: style.getPropertyValue("--ink").trim(), "font-family": style.fontFamily, "font-size": 13, ...more,
    });
    made.textContent = words;
    return made;
  };
  root.append(
    element("rect", { width, height, fill: style.getPropertyValue("--paper").trim() }),
    document.querySelector("svg.hidden defs").cloneNode(true),
    line(title, GAP, GAP, { "font-weight": 600, "font-size": 15 }),
  );
  panels.forEach((panel, i) => {
    const x = GAP + (i % columns) * wide;
    const y = GAP + TITLE + Math.floor(i / columns) * tall;
    const words = panel.querySelector("h3")?.textContent ?? "";
    const size = Math.max(5, Math.min(13, (wide - GAP) / (0.62 * words.length || 1)));
    root.append(line(words, x, y + 12, { "font-weight": 600, "font-size": size }));
    root.append(placed(picture(panel), x, y + TITLE));
    const note = panel.querySelector(".note")?.textContent ?? "";
    root.append(line(note, x, y + tall - 8, { "font-size": Math.min(11, (wide - GAP) / (0.6 * note.length || 1)) }));
  });
  entries.forEach((item, i) => {
    const y = height - legend + i * 18;
    root.append(placed(item.querySelector("svg"), GAP, y - 10), line(item.textContent.trim(), GAP + 38, y));
  });
  return new XMLSerializer().serializeToString(root);
}

/** Returns a copy at a place, with the looks that the page's style gives. */
function placed(source, x, y) {
  const { width, height } = sizeOf(source);
  if (source.tagName === "IMG") {
    return element("image", { href: source.src, x, y, width, height, style: "image-rendering:pixelated" });
  }
  const copied = source.cloneNode(true);
  const originals = [source, ...source.querySelectorAll("*")];
  [copied, ...copied.querySelectorAll("*")].forEach((node, i) => {
    const looks = getComputedStyle(originals[i]);
    for (const key of [...node.attributes].map((each) => each.name)) {
      if (key === "style" || key === "class" || key.startsWith("data-")) node.removeAttribute(key);
    }
    for (const key of KEPT) node.setAttribute(key, looks.getPropertyValue(key));
  });
  for (const [key, value] of Object.entries({ x, y, width, height })) copied.setAttribute(key, value);
  return copied;
}
