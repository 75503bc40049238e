// One method and one corruption in focus: whatever belongs to them lights up everywhere.

import { embedded, make } from "./page.js";
import { get, onRestore, set } from "./view.js";

const sheet = new CSSStyleSheet();
const hovered = { method: null, corruption: null };
const LABELS = ".legend [data-m], .methods th .method, .heat:not(.contrast) tr[data-c] > th";
let names;
let waiting;

/** Lets pointer, focus, clicks and the bar above choose a method and a corruption. */
export function startLinks(changed) {
  names = embedded();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  for (const label of document.querySelectorAll(LABELS)) chooser(label);
  document.addEventListener("pointerover", (event) => hover(event.target, 80));
  document.addEventListener("focusin", (event) => hover(event.target, 0));
  document.addEventListener("click", (event) => choose(event, changed));
  const bar = document.querySelector(".controls");
  if (bar) startBar(bar, changed);
  onRestore(() => light());
}

/** Makes a label something that can be pressed. */
function chooser(label) {
  const inner = make("button", { type: "button", className: "pick", "aria-pressed": "false" });
  inner.append(...label.childNodes);
  label.append(inner);
}

/** Returns the method and corruption an element belongs to. */
function owner(target) {
  if (!(target instanceof Element)) return { method: null, corruption: null };
  const number = (key) => {
    const found = target.closest(`[data-${key}]`);
    return found ? Number(found.dataset[key]) : null;
  };
  let method = number("m");
  const cell = target.closest("table[data-first] :is(td, th)");
  if (cell && cell.colSpan === 1) {
    const column = cell.cellIndex - Number(cell.closest("table").dataset.first);
    if (column >= 0) method = column;
  }
  return { method, corruption: number("c") };
}

/** Lights up what the pointer rests on; what it only crosses does not flicker. */
function hover(target, milliseconds) {
  const found = owner(target);
  if (found.method === hovered.method && found.corruption === hovered.corruption) return;
  Object.assign(hovered, found);
  clearTimeout(waiting);
  waiting = setTimeout(light, milliseconds);
}

function choose(event, changed) {
  const target = event.target;
  const free = target.closest?.(".pick, svg.chart, .heat td");
  if (!free || target.closest(".twin")) return;
  const { method, corruption } = owner(target);
  if (method !== null) toggle("method", names.methods[method].id);
  if (corruption !== null) toggle("corruption", names.corruptions[corruption]);
  light();
  changed();
}

function toggle(key, value) {
  pin(key, get(key) === value ? "" : value);
}

/** Keeps a choice; the surface follows a method unless a model is chosen for it later. */
function pin(key, value) {
  set(key, value);
  if (key === "method" && value !== "") set("plane", "");
}

/** Returns the numbers of what is chosen, null where nothing is. */
function pinned() {
  const method = names.methods.findIndex((each) => each.id === get("method"));
  const corruption = names.corruptions.indexOf(get("corruption"));
  return { method: method < 0 ? null : method, corruption: corruption < 0 ? null : corruption };
}

/** Returns the number of the chosen method, null without one. */
export const chosenMethod = () => pinned().method;

/** Returns the numbers of the methods that the words of the bar leave out; none where they match none. */
function hiddenMethods() {
  const words = get("methods").toLowerCase().split(/\s+/).filter(Boolean);
  const out = (label) => !words.every((word) => label.toLowerCase().includes(word));
  const hidden = names.methods.flatMap((each, i) => (words.length && out(each.label) ? [i] : []));
  const none = hidden.length > 0 && hidden.length === names.methods.length;
  const status = document.querySelector(".controls .count");
  if (status) {
    const left = names.methods.length - hidden.length;
    const told = none ? "No method has these words: all are shown." : `${left} of ${names.methods.length}`;
    status.textContent = words.length ? told : "";
  }
  return none ? [] : hidden;
}

/** Puts the focus into effect by one style sheet, whatever the size of the page. */
function light() {
  const pins = pinned();
  const method = hovered.method ?? pins.method;
  const corruption = hovered.corruption ?? pins.corruption;
  const rules = [];
  const column = (m, style) =>
    [1, 2].map((first) => `table[data-first="${first}"] :is(th, td):nth-child(${m + first + 1}) {${style}}`);
  if (method !== null) {
    rules.push(
      `svg.chart g[data-m]:not([data-m="${method}"], [data-other="${method}"]) {opacity: .12}`,
      `.panel[data-m]:not([data-m="${method}"]) svg {opacity: .4}`,
      `main tr[data-m="${method}"] > *, .legend [data-m="${method}"] {background: var(--lit)}`,
      ...column(method, "box-shadow: inset 2px 0 var(--accent), inset -2px 0 var(--accent)"),
    );
  }
  if (corruption !== null) {
    rules.push(
      `svg.chart g[data-c]:not([data-c="${corruption}"]), .panel[data-c]:not([data-c="${corruption}"]) :is(svg, img) {opacity: .2}`,
      `main tr[data-c="${corruption}"] > th {background: var(--lit); box-shadow: -.3rem 0 var(--accent)}`,
    );
  }
  for (const m of hiddenMethods()) rules.push(`[data-m="${m}"] {display: none}`, ...column(m, "display: none"));
  sheet.replaceSync(rules.join("\n"));
  for (const label of document.querySelectorAll(".pick")) {
    const own = owner(label);
    const pressed = own.method === null ? own.corruption === pins.corruption : own.method === pins.method;
    label.setAttribute("aria-pressed", String(pressed));
  }
}

function startBar(bar, changed) {
  const [methods, corruptions] = bar.querySelectorAll("select");
  const filter = bar.querySelector("input");
  const link = (select, key, values) =>
    select.addEventListener("change", () => {
      pin(key, select.value === "" ? "" : values[Number(select.value)]);
      light();
      changed();
    });
  link(methods, "method", names.methods.map((each) => each.id));
  link(corruptions, "corruption", names.corruptions);
  filter.addEventListener("input", () => {
    set("methods", filter.value.trim());
    light();
  });
  const update = () => {
    const { method, corruption } = pinned();
    methods.value = method ?? "";
    corruptions.value = corruption ?? "";
    if (document.activeElement !== filter) filter.value = get("methods");
  };
  onRestore(update);
  document.addEventListener("click", update);
  bar.hidden = false;
}
