// Models: what each is set to and why, what it has done, and what TUNE measured.

import { get } from "/api.js";
import { bytes, count, duration, empty, facts, h, moment, rate, table } from "/elements.js";

/** How often they are read again. */
const INTERVAL = 5000;

export function modelsView() {
  const list = h("div", { class: "stack" });
  const element = h("div", { class: "stack" }, h("h1", {}, "Models"), list);
  const open = new Set();
  let [text, timer] = ["", 0];

  const ask = async () => {
    try {
      const { models } = await get("/api/v1/models");
      if (JSON.stringify(models) !== text) {
        text = JSON.stringify(models);
        const none = empty("There is no model yet", h("code", {}, "CREATE MODEL resnet FROM 'models/resnet50.onnx' OPTIONS (labels 'labels.txt');"));
        list.replaceChildren(...(models.length ? models.map((model) => card(model, open)) : [none]));
      }
    } catch (error) {
      if (!text) list.replaceChildren(empty("The models can't be read", error.message));
    }
    timer = setTimeout(ask, INTERVAL);
  };
  ask();
  return { element, update: () => {}, end: () => clearTimeout(timer) };
}

function card(model, open) {
  const head = h("div", { class: "head" }, h("h2", {}, model.name), h("span", { class: "quiet small" }, model.members ? "ensemble" : model.task ?? ""));
  const element = h("article", { class: "card stack" }, head);
  if (model.error) element.append(h("p", { class: "notice wrong" }, model.error));
  if (model.members) element.append(h("p", {}, `Members: ${model.members.join(", ")}`));
  if (!model.settings) return element;
  const numbers = facts();
  numbers.update([
    ["Device", model.device ?? "–"],
    ["Precision", model.precision ?? "–"],
    ["Batch", model.batch_size === undefined ? "–" : count(model.batch_size)],
    ["Sessions", `${model.loaded_sessions} of ${model.concurrency ?? "–"}`],
    ["Threads a session", model.num_cpus === undefined ? "–" : count(model.num_cpus)],
    ["Rows", count(model.inferred_rows)],
    ["Time of a batch, p50", duration(model.p50_seconds)],
    ["p95", duration(model.p95_seconds)],
    ["p99", duration(model.p99_seconds)],
    ["Memory", bytes(model.memory_bytes)],
    ...(model.device_use === null ? [] : [["Use of the device", `${Math.round(model.device_use * 100)} %`]]),
  ]);
  const settings = model.settings.map(([name, value, source]) => ({ cells: [name, value, source] }));
  element.append(numbers.element, h("p", { class: "quiet small lines" }, model.file));
  element.append(folded(`${model.name} settings`, `${settings.length} settings`, open, () => table(`Settings of ${model.name}`, [["Setting"], ["Value"], ["Source"]], settings)));
  for (const tuning of model.tunings) {
    const title = `Tuned ${moment(tuning.at_seconds * 1000)}: ${tuning.gain[0].toFixed(2)} times the ${tuning.metric} of the default`;
    element.append(folded(`${model.name} ${tuning.at_seconds} ${tuning.chosen.device}`, title, open, () => trials(model, tuning)));
  }
  return element;
}

function folded(key, title, open, content) {
  const element = h("details", { open: open.has(key) }, h("summary", {}, title), content());
  element.addEventListener("toggle", () => (element.open ? open.add(key) : open.delete(key)));
  return element;
}

/** What TUNE tried, with a bar for each rate. */
function trials(model, tuning) {
  const most = Math.max(1, ...tuning.trials.map((trial) => trial.rate?.[0] ?? 0));
  const columns = [["Device"], ["Precision"], ["Batch", true], ["Sessions", true], ["Threads", true], ["A second", true], ["Of the fastest"], ["Outcome"]];
  const rows = tuning.trials.map((trial) => ({
    mark: trial.outcome === "chosen" ? "marked" : null,
    cells: [
      trial.device, trial.precision, count(trial.batch_size), count(trial.concurrency), count(trial.num_cpus),
      trial.rate ? rate(trial.rate[0]) : "–",
      trial.rate ? h("progress", { max: 1, value: trial.rate[0] / most, "aria-label": "Share of the fastest" }) : "–",
      trial.outcome,
    ],
  }));
  return table(`What TUNE tried for ${model.name}`, columns, rows);
}
