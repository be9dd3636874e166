// Single rows of a query with their pictures: what models found in them, and what failed.

import { count, fileName, h, keyed, percent, picture, say } from "/elements.js";

/** Errors that are shown unless all are asked for. */
const FIRST_ERRORS = 6;

/** Rows that a query's own page shows; its contact sheet has all. */
const FIRST_ROWS = 12;

/** The address of the picture of row `number` in a part of a query. */
export const imageOf = (id, part, number) => `/api/v1/queries/${encodeURIComponent(id)}/${part}/${number}/image`;

/** A class or an object as text. */
export const nameOf = (found) => found.label ?? (found.class === null ? "" : String(found.class));

/** What models found in a row, best first: `{ element, update }`. */
export function foundList(most) {
  const element = h("ul", { class: "found" });
  return {
    element,
    update: (row) => {
      const models = new Set(row.found.map((found) => found.model));
      const shown = row.found.slice(0, most).map((found, place) => ({ ...found, place }));
      keyed(element, shown, (found) => `${found.place} ${found.model} ${nameOf(found)}`, (found) => {
        const sure = h("span", { class: "quiet number" });
        const title = models.size > 1 ? found.model : null;
        return {
          element: h("li", { title }, h("bdi", { class: "lines" }, nameOf(found)), sure),
          update: (now) => say(sure, now.confidence === null ? "" : percent(now.confidence)),
        };
      });
      element.hidden = shown.length === 0;
    },
  };
}

/** The last rows of a query's sample: `{ element, update }`, where `update` takes the sample. */
export function latestRows(id) {
  const element = h("ul", { class: "pictures" });
  const make = (row) => {
    const found = foundList(2);
    const error = h("div", { class: "wrong small lines clamped" });
    return {
      element: h("li", { title: row.name }, picture(imageOf(id, "sampled_rows", row.number), fileName(row.name)), h("div", { class: "clip" }, fileName(row.name)), found.element, error),
      update: (now) => {
        found.update(now);
        say(error, now.error ?? "");
      },
    };
  };
  return { element, update: (rows) => keyed(element, rows.slice(0, FIRST_ROWS), (row) => row.number, make) };
}

/** The last errors of a query, newest first: `{ element, update }`. */
export function latestErrors(id) {
  const first = h("ul", { class: "pictures wide" });
  const rest = h("ul", { class: "pictures wide" });
  const summary = h("summary", {});
  const all = h("details", {}, summary, rest);
  const element = h("div", { class: "stack" }, first, all);
  const make = (error) => {
    const name = error.name ?? "a row without a name";
    const frame = error.name === null ? h("div", { class: "frame" }, "no picture of it") : picture(imageOf(id, "latest_errors", error.number), fileName(name));
    const where = h("div", { class: "small" }, h("strong", {}, error.stage), error.model === null ? "" : h("span", { class: "quiet" }, ` by ${error.model}`));
    return { element: h("li", {}, frame, h("div", {}, where, h("div", { class: "lines" }, error.error), h("div", { class: "quiet lines" }, name))), update: () => {} };
  };
  return {
    element,
    update: (errors) => {
      keyed(first, errors.slice(0, FIRST_ERRORS), (error) => error.number, make);
      keyed(rest, errors.slice(FIRST_ERRORS), (error) => error.number, make);
      say(summary, `${count(errors.length - FIRST_ERRORS)} earlier`);
      all.hidden = errors.length <= FIRST_ERRORS;
    },
  };
}
