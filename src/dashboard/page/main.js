// The page: which part of it is shown, and what tells it of changes.

import { get, listen } from "/api.js";
import { attribute, bytes, empty, h, say } from "/elements.js";
import { modelsView } from "/models.js";
import { processView } from "/process.js";
import { address, queriesView } from "/queries.js";
import { queryView } from "/query.js";
import { sheetView } from "/sheet.js";

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const known = { running: [], queries: [], lastEnded: undefined, canCancel: false, process: null };
let view = null;
/** The query that the page is about, if it is. */
let query = null;

/** The part of the page that the address names. */
function chosen() {
  const [, page, name, part] = (location.hash || "#/").split("/");
  const id = page === "query" && name ? decoded(name) : null;
  if (id && part === "sheet") return ["queries", "Contact sheet", () => sheetView(id), id];
  if (id) return ["queries", "Query", () => queryView(id, known), id];
  if (page === "models") return ["models", "Models", () => modelsView()];
  if (page === "process") return ["process", "Process", () => processView()];
  return ["queries", "Queries", () => queriesView()];
}

/** Part of an address; what is no part of one stays as it is. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function show(isFirst) {
  const [page, title, make, id = null] = chosen();
  const left = query;
  query = id;
  view?.end?.();
  document.title = `${title} · Seequel`;
  for (const link of document.querySelectorAll("nav a")) {
    attribute(link, "aria-current", link.dataset.page === page ? "page" : null);
  }
  view = make();
  main.replaceChildren(view.element);
  view.update(known);
  if (isFirst) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
  // Back where the reader was.
  if (left && !query) linkTo(left)?.focus();
}

const linkTo = (id) => [...main.querySelectorAll("a.sql")].find((link) => link.getAttribute("href") === address(id));

/** Escape leads from a contact sheet to its query, and from there to the list. */
function leave(event) {
  if (event.key !== "Escape" || event.defaultPrevented || event.target.closest("input, select")) return;
  if (query) location.hash = location.hash.endsWith("/sheet") ? address(query) : "#/";
}

/** Reads the list of queries again, which the stream leaves out. */
async function refresh() {
  try {
    const all = await get("/api/v1/queries");
    known.queries = all.queries;
    known.canCancel = all.can_cancel;
    if (!main.contains(view.element)) main.replaceChildren(view.element);
    view.update(known);
  } catch (error) {
    if (!known.queries.length) main.replaceChildren(empty("The dashboard can't be read", error.message));
  }
}

function changed(snapshot) {
  const isNew = snapshot.last_ended !== known.lastEnded || snapshot.running.length !== known.running.length;
  known.running = snapshot.running;
  known.process = snapshot.process;
  known.lastEnded = snapshot.last_ended;
  vitals(snapshot.process);
  if (isNew) refresh();
  view.update(known);
}

function vitals(process) {
  say(document.getElementById("vital-cores"), `${process.busy_cores.toFixed(1)} of ${process.cores.length}`);
  const limit = h("span", { class: "limit" }, ` of ${bytes(process.memory_limit_bytes)}`);
  document.getElementById("vital-memory").replaceChildren(bytes(process.memory_bytes), limit);
  say(document.getElementById("vital-reading"), `${bytes(process.read_bytes_per_second)}/s`);
}

function connected(isLive) {
  connection.className = `connection ${isLive ? "open" : "lost"}`;
  say(connection, isLive ? "Live" : "Not connected");
  connection.title = isLive ? "" : "Seequel has ended or was restarted. The page connects again by itself.";
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => show(false));
addEventListener("keydown", leave);
show(true);
refresh();
listen(changed, connected);
