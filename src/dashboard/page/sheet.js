// The contact sheet of a query: rows from all of its run with their pictures and what models found in them.

import { badge, count, fileName, h, keyed, percent, picture, say } from "/elements.js";
import { address, followed } from "/queries.js";
import { foundList, imageOf, nameOf } from "/rows.js";

const SVG = "http://www.w3.org/2000/svg";

export function sheetView(id) {
  const view = new SheetView(id);
  return { element: view.element, update: (known) => view.followed.update(known) };
}

class SheetView {
  constructor(id) {
    this.id = id;
    this.state = badge();
    this.text = h("pre", { class: "text short", tabindex: 0, "aria-label": "The statement" }, h("code", {}));
    this.label = h("select", { change: () => this.choose() });
    this.order = h("select", { change: () => this.choose() },
      h("option", { value: "last" }, "last first"), h("option", { value: "sure" }, "highest confidence first"), h("option", { value: "unsure" }, "lowest confidence first"), h("option", { value: "name" }, "name"));
    this.least = h("input", { type: "range", min: 0, max: 100, value: 0, input: () => this.choose() });
    this.leastText = h("output", {}, "0 %");
    this.status = h("p", { class: "quiet small", role: "status" });
    this.cards = h("ul", { class: "sheet" });
    const back = h("p", { class: "small" }, h("a", { href: address(id) }, "The query"));
    const controls = h("form", { class: "controls", submit: (event) => event.preventDefault() },
      h("label", {}, "Label ", this.label), h("label", {}, "Order ", this.order), h("label", {}, "Confidence at least ", h("span", {}, this.least, this.leastText)));
    this.element = h("div", { class: "parts" },
      h("section", { class: "stack", "aria-label": "Summary" }, back, h("div", { class: "head" }, h("h1", {}, "Contact sheet"), this.state.element), this.text, controls, this.status),
      h("section", { "aria-label": "Images" }, h("h2", { class: "hidden" }, "Images"), this.cards));
    this.element.hidden = true;
    this.followed = followed(id, this.element, "Contact sheet", (query) => this.show(query));
  }

  show(query) {
    this.query = query;
    this.rows = query.sampled_rows ?? [];
    this.state.update(query.state);
    say(this.text.firstChild, query.text);
    this.showLabels();
    this.choose();
    this.element.hidden = false;
  }

  /** The labels that can be chosen, most frequent first. */
  showLabels() {
    const counts = new Map();
    for (const row of this.rows) for (const label of new Set(row.found.map(nameOf))) counts.set(label, (counts.get(label) ?? 0) + 1);
    const labels = [...counts].sort(([one, ones], [other, others]) => others - ones || one.localeCompare(other));
    const options = [["", "all"], ...labels.map(([label, number]) => [label, `${label} (${count(number)})`])];
    const text = JSON.stringify(options);
    if (text === this.labelsText) return;
    this.labelsText = text;
    const chosen = this.label.value;
    this.label.replaceChildren(...options.map(([value, shown]) => h("option", { value }, shown)));
    this.label.value = counts.has(chosen) ? chosen : "";
  }

  /** Shows the rows that the controls ask for. */
  choose() {
    const [label, least] = [this.label.value, Number(this.least.value) / 100];
    say(this.leastText, percent(least));
    const sure = (row) => row.found.filter((found) => (found.confidence ?? 1) >= least);
    const isShown = (row) => (label === "" && least === 0) || sure(row).some((found) => label === "" || nameOf(found) === label);
    const shown = this.rows.filter(isShown).map((row) => ({ ...row, found: sure(row) }));
    const best = (row) => row.found[0]?.confidence ?? -1;
    // Rows in which nothing was found come last.
    const by = (sign) => (one, other) => (other.found.length > 0) - (one.found.length > 0) || sign * (best(one) - best(other)) || other.number - one.number;
    const orders = { sure: by(-1), unsure: by(1), name: (one, other) => one.name.localeCompare(other.name, "en", { numeric: true }) };
    if (orders[this.order.value]) shown.sort(orders[this.order.value]);
    keyed(this.cards, shown, (row) => row.number, (row) => card(this.id, row));
    this.showStatus(shown.length);
  }

  showStatus(shown) {
    const { state, images } = this.query;
    const kept = this.rows.length;
    const all = images > kept ? `${count(kept)} of ${count(images)} images, from all of the query's run` : `${count(kept)} ${kept === 1 ? "image" : "images"}`;
    const none = state === "running" ? "No image has been classified yet." : "No rows with images of this query are kept.";
    say(this.status, kept === 0 ? none : shown === kept ? `Showing ${all}.` : `Showing ${count(shown)} of ${all}.`);
  }
}

/** A row: its picture with boxes, its name, what models found. */
function card(id, row) {
  const frame = picture(imageOf(id, "sampled_rows", row.number), fileName(row.name));
  const found = foundList(10);
  const error = h("p", { class: "wrong lines" });
  const element = h("li", {}, frame, h("p", { class: "clip", title: row.name }, h("bdi", {}, fileName(row.name))), found.element, error);
  let drawn = "";
  return {
    element,
    update: (now) => {
      found.update(now);
      say(error, now.error ?? "");
      error.hidden = now.error === null;
      const boxes = now.size === null ? [] : now.found.map((one) => one.corners).filter((corners) => corners !== null);
      if (JSON.stringify(boxes) === drawn) return;
      drawn = JSON.stringify(boxes);
      frame.querySelector("svg")?.remove();
      if (boxes.length) frame.append(frames(boxes, now.size));
    },
  };
}

/** Boxes over a picture, a dark line below a light one. */
function frames(boxes, [width, height]) {
  const make = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const drawing = make("svg", { class: "boxes", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const [x0, y0, x1, y1] of [...boxes].reverse()) {
    const place = { x: Math.max(0, x0), y: Math.max(0, y0), width: Math.max(0, Math.min(width, x1) - Math.max(0, x0)), height: Math.max(0, Math.min(height, y1) - Math.max(0, y0)) };
    drawing.append(make("rect", { class: "edge", ...place }), make("rect", { class: "line", ...place }));
  }
  return drawing;
}
