// Light, dark, or as the system has it.

import { get, onRestore, set } from "./view.js";

/** Shows the switch and lets it work. */
export function startTheme(changed) {
  const switches = document.querySelector(".theme");
  switches.hidden = false;
  switches.addEventListener("click", (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    const choice = pressed.dataset.choice;
    set("theme", choice === "auto" ? "" : choice);
    apply(switches, changed);
  });
  onRestore(() => apply(switches, changed));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

function apply(switches, changed) {
  const asked = get("theme");
  const choice = ["light", "dark"].includes(asked) ? asked : "auto";
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  for (const each of switches.children) {
    each.setAttribute("aria-pressed", String(each.dataset.choice === choice));
  }
  changed();
}
