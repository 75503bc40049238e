// A height field seen from a camera: no page, only numbers.

const FLOOR = 1e-12;
/** Half the height of the box, relative to half its width. */
export const TALL = 0.5;

/** Returns heights between 0 and 1, null where the loss is not finite. */
export function heights(plane, limits, logarithmic) {
  const [low, high] = limits;
  return plane.losses.map((row) => row.map((loss) => {
    if (loss === null) return null;
    const within = Math.min(Math.max(loss, low), high);
    return logarithmic ? Math.log(within / low) / Math.log(high / low) : within / high;
  }));
}

/** Returns the colour share of a loss on the logarithmic scale that all planes have in common. */
export function share(loss, [low, high]) {
  return Math.log(Math.max(Math.min(loss, high), low, FLOOR) / low) / Math.log(high / low);
}

const DISTANCE = 4.5;
const LABELS = 56; // CSS pixels
const BALL = Math.hypot(1, 1, TALL);
/** Radius at which the ball around the box is seen, in the perspective of the camera. */
const SEEN = (DISTANCE * BALL) / Math.sqrt(DISTANCE ** 2 - BALL ** 2);

/** Returns a function from (x, y, z), each about -1 to 1, to the screen and the depth. */
export function camera(yaw, pitch, zoom, width, height) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  // The ball around the box is seen whole from every side, beside the labels of the upright axis.
  const unit = (zoom * Math.min(width - LABELS, height - 12)) / (2 * SEEN);
  return (x, y, z) => {
    const side = cy * x - sy * y;
    const away = sy * x + cy * y;
    const up = cp * z + sp * away;
    const depth = cp * away - sp * z;
    const near = DISTANCE / (DISTANCE + depth); // a mild perspective
    return { x: width / 2 + unit * near * side, y: height / 2 - unit * near * up, depth };
  };
}

/**
 * Returns the quadrilaterals of a grid, the farthest first; those with a missing corner are left out.
 * The grid spans a share of the box's width, so that planes of different reach have one scale.
 */
export function quads(grid, project, width = 1) {
  const n = grid.length;
  const place = (i) => width * ((2 * i) / (n - 1) - 1);
  const points = grid.map((row, r) => row.map((height, c) =>
    height === null ? null : project(place(c), place(r), TALL * (2 * height - 1))));
  const found = [];
  for (let r = 0; r + 1 < n; r++) {
    for (let c = 0; c + 1 < n; c++) {
      const corners = [points[r][c], points[r][c + 1], points[r + 1][c + 1], points[r + 1][c]];
      if (corners.some((corner) => corner === null)) continue;
      found.push({ r, c, corners, depth: corners.reduce((sum, corner) => sum + corner.depth, 0) });
    }
  }
  return { points, quads: found.sort((one, other) => other.depth - one.depth) };
}
