// Everything here adds to a page that is complete without it.

import { startFigures } from "./figures.js";
import { startLinks } from "./link.js";
import { button, copy, embedded } from "./page.js";
import { startReadout } from "./readout.js";
import { startSurface } from "./surface.js";
import { startTables } from "./tables.js";
import { startTheme } from "./theme.js";
import { goToSection, readAddress, reset, restore } from "./view.js";

readAddress();
let redraw = () => {};
startTheme(() => redraw());
startTables();
startFigures();
if (embedded().methods) {
  startLinks(() => redraw());
  startReadout();
  redraw = startSurface();
}
const actions = document.querySelector(".controls .actions");
actions?.append(
  button("Copy link", (event) => copy(location.href, event.target)),
  button("Reset", reset),
);
restore();
goToSection();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
