// What the explorer adds to chemiscope's map, in a notebook and in a saved page: a hint with the formula at the point
// under the mouse, the legend in the colours of the classes, the whole crystal in view. Only elements and events of the
// finished plot are used; where a later version has others, the map stays as chemiscope draws it.

const spmatAll = (node, selector) => [
  ...node.querySelectorAll(selector),
  ...[...node.querySelectorAll("*")].flatMap((child) => (child.shadowRoot ? spmatAll(child.shadowRoot, selector) : [])),
];

// Gives the graphics contexts of removed canvases back at once: a browser has 16 of them and is slow to collect them.
const spmatRelease = (canvases) => {
  for (const canvas of canvases) {
    const context = canvas.getContext("webgl2") ?? canvas.getContext("webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
  }
};

const spmatHint = (plot, hints) => {
  const hint = document.createElement("div");
  hint.className = "spmat-hint";
  hint.style.cssText =
    "position:absolute;display:none;pointer-events:none;z-index:50;padding:2px 7px;border-radius:3px;" +
    "background:#222;color:#fff;font:12px sans-serif;white-space:pre";
  plot.append(hint);
  plot.on("plotly_hover", ({ points: [point] }) => {
    if (point.curveNumber !== 0) return;
    const { xaxis, yaxis } = plot._fullLayout;
    const x = xaxis.l2p(point.x) + xaxis._offset;
    hint.textContent = hints[point.pointNumber] ?? "";
    hint.style.top = `${yaxis.l2p(point.y) + yaxis._offset + 10}px`;
    hint.style.left = `${x + 10}px`;
    hint.style.display = "block";
    // Near the right border the hint lies on the other side of its point.
    if (x + 20 + hint.offsetWidth > plot.clientWidth) hint.style.left = `${x - 10 - hint.offsetWidth}px`;
  });
  plot.on("plotly_unhover", () => (hint.style.display = "none"));
};

const spmatStyle = (legend) => {
  const rules = legend.map(
    (colour, i) => `.legend .traces:nth-of-type(${i + 1}) .legendpoints path { fill: ${colour} !important; }`
  );
  if (legend.length) rules.push(".infolayer .colorbar { display: none; }");
  return [...rules, ".hoverlayer { display: none; }"].join("\n");
};

// Shows the whole crystal: chemiscope fits it to the panel before it repeats the cell, and again on a double click. When
// it is drawn is not told, hence several tries, until somebody takes hold of it.
const spmatFit = (element) => {
  const panel = element.querySelector(".chemiscope-structure, #structure");
  if (!panel) return;
  let free = true;
  for (const touch of ["pointerdown", "wheel"]) panel.addEventListener(touch, () => (free = false), { once: true });
  for (const wait of [50, 300, 1000]) {
    setTimeout(() => {
      const [canvas] = spmatAll(panel, "canvas");
      if (free) canvas?.dispatchEvent(new MouseEvent("dblclick", { bubbles: true, composed: true }));
    }, wait);
  }
};

// Waits for the plot inside `element`, then dresses it as `{hints, legend}` says: a text for each point, and the colour
// of each entry of the legend (none where the points are coloured by a number).
const spmatDress = (element, { hints = [], legend = [] }, tries = 100) => {
  const [plot] = spmatAll(element, ".js-plotly-plot");
  if (!plot?._fullLayout?.xaxis || !plot.on) {
    if (tries) setTimeout(() => spmatDress(element, { hints, legend }, tries - 1), 100);
    return;
  }
  const style = document.createElement("style");
  style.textContent = spmatStyle(legend);
  plot.parentNode.append(style);
  spmatHint(plot, hints);
};
