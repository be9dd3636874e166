// Elements of the page, and numbers as text. Whatever comes from outside becomes text, never markup.

/** An element: `h("p", { class: "quiet" }, "text", child)`. A function among the attributes listens to that event. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets an element's text if it has changed, so that a selection in it survives. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute if it has changed; `null` removes it. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/**
 * Keeps the children of `container` in step with `items`: each has an element of its own, which is made once and updated,
 * so that focus and scrolling stay where they are.
 */
export function keyed(container, items, key, make) {
  const known = container.known ?? (container.known = new Map());
  const wanted = new Set();
  items.forEach((item, place) => {
    const name = key(item, place);
    wanted.add(name);
    if (!known.has(name)) known.set(name, make(item));
    const { element, update } = known.get(name);
    update(item);
    if (container.children[place] !== element) container.insertBefore(element, container.children[place] ?? null);
  });
  for (const [name, { element }] of known) {
    if (!wanted.has(name)) {
      element.remove();
      known.delete(name);
    }
  }
}

/** Terms with values: `{ element, update }`, where `update` takes pairs of a term and its text. */
export function facts(kind = "facts") {
  const element = h("dl", { class: kind });
  const make = ([term]) => {
    const value = h("dd");
    return {
      element: h("div", {}, h("dt", {}, term), value),
      update: ([, text, mark]) => {
        say(value, text);
        value.className = mark ?? "";
      },
    };
  };
  return { element, update: (pairs) => keyed(element, pairs, ([term]) => term, make) };
}

/** A bar of a share from 0 to 1; `null` shows that it is unknown. */
export function bar(label) {
  const element = h("progress", { max: 1, "aria-label": label });
  return {
    element,
    update: (share) => attribute(element, "value", share === null || share === undefined ? null : Math.round(share * 1000) / 1000),
  };
}

/** The state of a query. */
export function badge() {
  const element = h("span", { class: "badge" });
  return {
    element,
    update: (state) => {
      element.className = `badge ${["running", "finished", "failed", "cancelled"].includes(state) ? state : ""}`;
      say(element, state);
    },
  };
}

/** What stands where there is nothing: a title and what to do. */
export function empty(title, ...rest) {
  return h("div", { class: "empty" }, h("strong", {}, title), ...rest);
}

/** A section with a title. */
export function section(title, ...children) {
  return h("section", { "aria-label": title }, h("h2", {}, title), ...children);
}

/** A table of texts; numbers stand on the right. Columns are `[title, is number]`. */
export function table(label, columns, rows, kind = "") {
  const head = columns.map(([title, isNumber]) => h("th", { scope: "col", class: isNumber ? "number" : null }, title));
  const body = rows.map((row) =>
    h("tr", { class: row.mark ?? null }, row.cells.map((cell, place) => {
      const [title, isNumber] = columns[place];
      return h("td", { class: isNumber ? "number" : null, "data-label": title }, cell ?? "–");
    })),
  );
  const all = h("table", { class: kind || null }, h("caption", { class: "hidden" }, label), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
  return h("div", { class: "table", tabindex: 0, role: "region", "aria-label": label }, all);
}

/** A small picture, or why there is none. */
export function picture(address, name) {
  const frame = h("div", { class: "frame" });
  const image = h("img", { src: address, alt: name, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => frame.replaceChildren("no picture of it"));
  frame.append(image);
  return frame;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (number) => whole.format(number ?? 0);
export const rate = (number) => (number >= 1000 ? whole : tenths).format(number ?? 0);
export const percent = (share) => `${whole.format((share ?? 0) * 100)} %`;

/** `1.2 MB`. */
export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [number ?? 0, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 100 ? whole.format(value) : tenths.format(value)} ${units[unit]}`;
}

/** `1 h 02 min`, `3 min 07 s`, `4.2 s`, `12.0 ms`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${tenths.format(seconds * 1e3)} ms`;
  if (seconds < 60) return `${tenths.format(seconds)} s`;
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
}

/** The time of day, with the date if it is not today. */
export function moment(milliseconds) {
  const date = new Date(milliseconds);
  const time = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** The last part of a path. */
export const fileName = (path) => String(path).split("/").filter(Boolean).pop() ?? String(path);
