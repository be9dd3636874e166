// The list: queries that run, then those that have ended.

import { cancel, get } from "/api.js";
import { attribute, badge, bar, count, duration, empty, facts, h, keyed, moment, percent, rate, say } from "/elements.js";

export const address = (id) => `#/query/${encodeURIComponent(id)}`;

export function queriesView() {
  const running = h("div", { class: "live" });
  const nothing = empty("No query runs now", "Statements of the shell and of applications appear here while they run.");
  const rows = h("tbody");
  const titles = ["State", "Query", "Began", "Time", "Rows", "Images", "A second", "Failed"];
  const head = titles.map((title, place) => h("th", { scope: "col", class: place > 2 ? "number" : null }, title));
  const table = h("table", { class: "cards" }, h("caption", { class: "hidden" }, "Queries that have ended"), h("thead", {}, h("tr", {}, head)), rows);
  const ended = h("section", { "aria-label": "Ended" }, h("h2", {}, "Ended"), h("div", { class: "table" }, table));
  const none = empty("No query has ended yet", "Try ", h("code", {}, "SELECT path, classify(image)['label'] FROM 'photos/*.jpg';"));
  const element = h("div", { class: "parts" }, h("h1", { class: "hidden" }, "Queries"), h("section", { "aria-label": "Running" }, h("h2", {}, "Running"), running, nothing), ended, none);
  for (const part of element.querySelectorAll("section")) part.classList.add("stack");

  return {
    element,
    update: (known) => {
      keyed(running, known.running, (query) => query.id, () => runningCard());
      for (const card of running.children) card.querySelector("button").hidden = !known.canCancel;
      nothing.hidden = known.running.length > 0;
      const past = known.queries.filter((query) => query.state !== "running");
      keyed(rows, past, (query) => query.id, () => endedRow());
      ended.hidden = past.length === 0;
      none.hidden = past.length > 0 || known.running.length > 0;
    },
  };
}

/**
 * Reads a query, now and whenever `update` is told that it runs, one request at a time, and calls `show` with it. If it can't
 * be read at all, `element` says so below `title`.
 */
export function followed(id, element, title, show) {
  let [isAsking, last] = [false, null];
  const ask = async () => {
    if (isAsking) return;
    isAsking = true;
    try {
      last = await get(`/api/v1/queries/${encodeURIComponent(id)}`);
      show(last);
    } catch (error) {
      if (!last) {
        element.replaceChildren(h("h1", { class: "hidden" }, title), empty("This query can't be shown", h("p", {}, error.message), h("a", { href: "#/" }, "All queries")));
        element.hidden = false;
      }
    } finally {
      isAsking = false;
    }
  };
  ask();
  return {
    update: (known) => {
      if (last?.state === "running" || known.running.some((query) => query.id === id)) ask();
    },
  };
}

/** A button that cancels the query that `id()` gives, and what became of it. */
export function cancelButton(id) {
  const button = h("button", { type: "button", class: "danger" }, "Cancel");
  const answer = h("p", { class: "small quiet", role: "status" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(answer, "");
    try {
      await cancel(id());
      say(answer, "A COPY with the option resume commits what is finished first.");
      say(button, "End at once");
    } catch (error) {
      say(answer, error.message);
    }
    button.disabled = false;
  });
  return { button, answer };
}

function runningCard() {
  let query;
  const state = badge();
  const name = h("strong", {});
  const link = h("a", { class: "sql short" });
  const text = h("code", {});
  link.append(text);
  const share = bar("Share done");
  const numbers = facts();
  const { button, answer } = cancelButton(() => query.id);
  const element = h("article", { class: "card" }, h("div", { class: "head" }, state.element, name, h("span", { class: "end" }, button)), link, share.element, numbers.element, answer);
  return {
    element,
    update: (now) => {
      query = now;
      state.update(now.state);
      say(name, now.name ?? "");
      say(text, now.text);
      attribute(link, "href", address(now.id));
      share.update(now.share);
      attribute(button, "aria-label", `Cancel ${now.text.slice(0, 80)}`);
      numbers.update([
        [`${unit(now)} a second`, rate(now.images_per_second)],
        [unit(now), count(now.images)],
        ["Done", now.share === null ? "–" : percent(now.share)],
        ["Left", now.seconds_left === null ? "–" : duration(now.seconds_left)],
        ["Time", duration(now.seconds)],
        ["Failed", count(now.failed_rows), now.failed_rows > 0 ? "wrong" : ""],
      ]);
    },
  };
}

function endedRow() {
  const state = badge();
  const link = h("a", { class: "sql short" });
  const text = h("code", {});
  link.append(text);
  const cell = (label) => h("td", { class: "number", "data-label": label });
  const cells = ["Time", "Rows", "Images", "A second", "Failed"].map(cell);
  const began = h("td", { "data-label": "Began" });
  const element = h("tr", {}, h("td", {}, state.element), h("th", { scope: "row", class: "whole" }, link), began, cells);
  return {
    element,
    update: (query) => {
      state.update(query.state);
      say(text, query.name ? `${query.name}: ${query.text}` : query.text);
      attribute(link, "href", address(query.id));
      say(began, moment(query.started_ms));
      const numbers = [duration(query.seconds), count(query.rows), count(query.images), rate(query.images_per_second), count(query.failed_rows)];
      numbers.forEach((number, place) => say(cells[place], number));
    },
  };
}

/** What a query counts. */
export const unit = (query) => (query.has_images ? "Images" : "Rows read");
