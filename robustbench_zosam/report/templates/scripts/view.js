// What the reader has chosen, kept in the address: a copied link restores it.

const chosen = new Map();
const listeners = [];

/** Reads the address; a part without "=" is the id of a section. */
export function readAddress() {
  chosen.clear();
  for (const part of location.hash.slice(1).split("&").filter(Boolean)) {
    const [key, ...rest] = part.split("=");
    if (rest.length) chosen.set(decode(key), decode(rest.join("=")));
    else chosen.set("at", decode(key));
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text; // a stray per cent sign
  }
}

/** Returns what was chosen under a key, or an empty string. */
export const get = (key) => chosen.get(key) ?? "";

/** Keeps a choice; an empty one is forgotten. */
export function set(key, value) {
  if (get(key) === value) return;
  if (value === "") chosen.delete(key);
  else chosen.set(key, value);
  write();
}

function write() {
  const parts = [...chosen].map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`);
  const bare = location.href.split("#")[0];
  history.replaceState(null, "", parts.length ? `${bare}#${parts.join("&")}` : bare);
}

/** Forgets every choice. */
export function reset() {
  for (const key of [...chosen.keys()]) set(key, "");
  restore();
}

/** Registers what puts choices into effect, now and when the address changes. */
export function onRestore(action) {
  listeners.push(action);
}

/** Puts all choices into effect. */
export function restore() {
  for (const action of listeners) action();
}

/** Goes to the section that the address names. */
export function goToSection() {
  document.getElementById(get("at"))?.scrollIntoView({ behavior: "instant" });
}

window.addEventListener("hashchange", () => {
  const kept = new Map(chosen);
  const anchor = !location.hash.includes("=");
  readAddress();
  if (anchor) {
    for (const [key, value] of kept) if (key !== "at") chosen.set(key, value);
    write();
  }
  restore();
  goToSection();
});
