
"use strict";

// Everything is read from the cards, which are there before this script runs; text is only ever set as text.

const element = (id) => document.getElementById(id);
const list = element("cards");
const controls = element("controls");

/** @typedef {{label: string, class: string, confidence: number, item: Element, box: ?Element}} Found */
/** @typedef {{node: HTMLElement, order: number, name: string, expected: ?string, found: Found[], label: string}} Card */

/** @type {Card[]} */
const cards = [...list.children].map((node, order) => {
  const found = [...node.querySelectorAll(".found [data-label]")].map((item) => ({
    label: item.dataset.label,
    class: item.dataset.class,
    confidence: Number(item.dataset.confidence ?? 1),
    item,
    box: node.querySelector(`[data-box="${item.dataset.number}"]`),
  }));
  const name = node.querySelector(".name")?.title ?? "";
  // Models list the most probable first.
  return { node, order, name, expected: node.dataset.expected ?? null, found, label: found[0]?.label ?? "" };
});

const hasExpected = cards.some((card) => card.expected !== null);

/** The images of one cell of the confusion matrix, if one is chosen. */
let cell = null;

const same = (a, b) => a.localeCompare(b, undefined, { sensitivity: "accent" }) === 0;
const isRight = (card) =>
  card.found.length > 0 && (same(card.label, card.expected) || card.found[0].class === card.expected);

function isShown(card, wanted) {
  const sure = card.found.filter((found) => found.confidence >= wanted.confidence);
  const labelled = sure.filter((found) => wanted.label === "" || found.label === wanted.label);
  if (wanted.name && !card.name.toLowerCase().includes(wanted.name)) return false;
  if ((wanted.label !== "" || wanted.confidence > 0) && labelled.length === 0) return false;
  if (cell && (card.expected === null || cell.row(card) !== cell.expected || cell.column(card) !== cell.predicted)) return false;
  switch (wanted.state) {
    case "found": return sure.length > 0;
    case "none": return card.found.length === 0;
    case "wrong": return card.expected !== null && !isRight(card);
    case "right": return card.expected !== null && isRight(card);
    default: return true;
  }
}

/** Shows the cards that the controls ask for, and of their predictions those that are sure enough. */
function filter() {
  const wanted = {
    name: element("name").value.trim().toLowerCase(),
    label: element("label").value,
    state: element("state").value,
    confidence: Number(element("confidence").value) / 100,
  };
  element("least").textContent = `${element("confidence").value} %`;
  list.classList.toggle("no-boxes", !element("boxes").checked);
  let shown = 0;
  for (const card of cards) {
    card.node.hidden = !isShown(card, wanted);
    shown += Number(!card.node.hidden);
    for (const found of card.found) {
      const isSure = found.confidence >= wanted.confidence;
      found.item.hidden = !isSure;
      found.box?.toggleAttribute("hidden", !isSure);
    }
  }
  const isReachable = cards.some((card) => card.node.tabIndex === 0 && !card.node.hidden);
  const first = [...list.children].find((node) => !node.hidden);
  if (!isReachable && first) reachable(first);
  report(shown);
}

function report(shown) {
  const number = (count) => count.toLocaleString("en");
  const limit = element("remark")?.dataset.limit;
  const all = limit ? `the first ${number(cards.length)} images` : `${number(cards.length)} ${cards.length === 1 ? "image" : "images"}`;
  const chosen = cell ? `, expected ${cell.expected}, predicted ${cell.predicted}` : "";
  element("status").textContent = shown === cards.length ? `Showing ${all}` : `Showing ${number(shown)} of ${all}${chosen}`;
  element("empty").hidden = shown > 0;
  element("empty").textContent =
    cards.length === 0 ? "The query returned no rows." : "No image matches. Reset shows all of them again.";
}

function sort() {
  const confidence = (card) => card.found[0]?.confidence ?? -1;
  const byText = (text) => (a, b) => text(a).localeCompare(text(b), undefined, { numeric: true }) || a.order - b.order;
  // Images without a prediction come last in either direction.
  const byConfidence = (sign) => (a, b) =>
    (b.found.length > 0) - (a.found.length > 0) || sign * (confidence(a) - confidence(b)) || a.order - b.order;
  const orders = {
    name: byText((card) => card.name),
    label: byText((card) => card.label || "\uffff"),
    sure: byConfidence(-1),
    unsure: byConfidence(1),
  };
  const sorted = [...cards].sort(orders[element("sort").value] ?? ((a, b) => a.order - b.order));
  list.append(...sorted.map((card) => card.node));
}

function countBy(keys) {
  const counts = new Map();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

function fillLabels() {
  const counts = countBy(cards.flatMap((card) => [...new Set(card.found.map((found) => found.label))]));
  const labels = [...counts.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  element("label").append(...labels.map((label) => new Option(`${label} (${counts.get(label)})`, label)));
}

/** Rows are the labels that are expected, columns those that are predicted; the rare ones share one. */
function fillMatrix() {
  const MOST = 25;
  const rated = cards.filter((card) => card.expected !== null);
  const right = rated.filter(isRight).length;
  element("accuracy").textContent =
    `${right.toLocaleString("en")} of ${rated.length.toLocaleString("en")} as expected (${((100 * right) / rated.length).toFixed(1)} %).`;
  const predicted = (card) => (isRight(card) ? card.expected : card.label || "nothing");
  const counts = countBy(rated.flatMap((card) => [card.expected, predicted(card)]));
  const frequent = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a)).slice(0, MOST);
  const known = new Set(frequent);
  const row = (card) => (known.has(card.expected) ? card.expected : "others");
  const column = (card) => (known.has(predicted(card)) ? predicted(card) : "others");
  const labels = frequent.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  if (counts.size > MOST) labels.push("others");
  const rows = labels.filter((label) => rated.some((card) => row(card) === label));
  const columns = labels.filter((label) => rated.some((card) => column(card) === label));
  const cells = countBy(rated.map((card) => JSON.stringify([row(card), column(card)])));
  const totals = countBy(rated.map(row));

  const make = (tag, text, attributes = {}) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.textContent = text;
    return made;
  };
  const head = make("tr", "");
  head.append(make("td", "", { className: "corner" }), ...columns.map((label) => make("th", label, { scope: "col" })));
  element("matrix").querySelector("thead").append(head);
  for (const expected of rows) {
    const line = make("tr", "");
    line.append(make("th", expected, { scope: "row" }));
    for (const label of columns) {
      const count = cells.get(JSON.stringify([expected, label])) ?? 0;
      const place = make("td", count ? "" : "0", { className: count ? "" : "zero" });
      place.classList.toggle("same", expected === label);
      if (count) {
        const button = make("button", count.toLocaleString("en"), { type: "button" });
        button.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-label", `${count} expected ${expected}, predicted ${label}`);
        place.style.setProperty("--share", count / totals.get(expected));
        button.addEventListener("click", () => choose(button, { expected, predicted: label, row, column }));
        place.append(button);
      }
      line.append(place);
    }
    element("matrix").querySelector("tbody").append(line);
  }
  element("matrix").hidden = false;
  element("matrix").open = labels.length <= 12;
}

/** Chooses a cell of the matrix, or none if it is chosen already. */
function choose(button, chosen) {
  const isPressed = button?.getAttribute("aria-pressed") === "true";
  document.querySelectorAll("#matrix [aria-pressed='true']").forEach((other) => other.setAttribute("aria-pressed", "false"));
  button?.setAttribute("aria-pressed", String(!isPressed));
  cell = isPressed ? null : chosen;
  filter();
}

/** Moves the focus among the cards that are shown: arrows, Home and End. */
function move(event) {
  const card = event.target.closest(".card");
  if (!card || event.target !== card || event.altKey || event.ctrlKey || event.metaKey) return;
  const shown = [...list.children].filter((other) => !other.hidden);
  const index = shown.indexOf(card);
  const across = shown.findIndex((other) => other.offsetTop > shown[0].offsetTop);
  const columns = across === -1 ? shown.length : across;
  const targets = {
    ArrowRight: index + 1,
    ArrowLeft: index - 1,
    ArrowDown: index + columns,
    ArrowUp: index - columns,
    Home: 0,
    End: shown.length - 1,
  };
  const target = shown[targets[event.key]];
  if (!target) return;
  event.preventDefault();
  reachable(target);
  target.focus();
}

/** Puts one card into the order of Tab; arrows lead to the others. */
function reachable(card) {
  list.querySelectorAll("[tabindex='0']").forEach((other) => (other.tabIndex = -1));
  card.tabIndex = 0;
}

/** Marks the box of the prediction under the pointer. */
function mark(event) {
  const item = event.target.closest(".found [data-number]");
  list.querySelectorAll(".marked").forEach((box) => box.classList.remove("marked"));
  item?.closest(".card").querySelector(`[data-box="${item.dataset.number}"]`)?.classList.add("marked");
}

for (const card of cards) {
  card.node.tabIndex = -1;
  if (card.expected !== null) card.node.classList.add(isRight(card) ? "right" : "wrong");
}
if (hasExpected) fillMatrix();
else controls.querySelectorAll("[data-needs='expected']").forEach((option) => option.remove());
fillLabels();
element("boxes-label").hidden = !list.querySelector(".boxes");
controls.hidden = cards.length === 0;
controls.addEventListener("input", filter);
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("reset", () => setTimeout(() => { sort(); choose(null, null); }));
element("sort").addEventListener("change", sort);
list.addEventListener("keydown", move);
list.addEventListener("pointerover", mark);
filter();
