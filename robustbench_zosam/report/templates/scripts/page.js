// Small helpers for building parts of the page.

/** Returns a new element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** Returns a button that calls an action. */
export function button(label, action, properties = {}) {
  const made = make("button", { type: "button", ...properties }, label);
  made.addEventListener("click", action);
  return made;
}

/** Offers text as a file. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Puts text on the clipboard and says so on the button. */
export async function copy(text, from) {
  const label = from.textContent;
  from.textContent = (await written(text)) ? "Copied" : "Not permitted";
  setTimeout(() => (from.textContent = label), 1500);
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { value: text, className: "away" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Returns a number as it is printed on the page. */
export function shown(value) {
  if (!Number.isFinite(value)) return "not finite";
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

/** Returns the numbers that the page embeds once. */
export function embedded() {
  return JSON.parse(document.getElementById("data")?.textContent ?? "{}");
}
