// One query: how far it is, where its time goes, what failed and what came out.

import { chart, rates } from "/chart.js";
import { badge, bar, bytes, count, duration, facts, fileName, h, keyed, moment, percent, picture, rate, say, section, table } from "/elements.js";
import { address, cancelButton, followed, unit } from "/queries.js";
import { imageOf, latestErrors, latestRows } from "/rows.js";

/** The stages whose time a chart shows, with their colours. */
const SHOWN = { read: 1, decode: 2, preprocess: 3, infer: 4, compute: 5, write: 6 };

export function queryView(id, known) {
  const view = new QueryView(id, known);
  return { element: view.element, update: (now) => view.update(now), end: () => view.end() };
}

class QueryView {
  constructor(id, known) {
    this.id = id;
    this.known = known;
    this.before = null;
    this.state = badge();
    this.share = bar("Share done");
    this.numbers = facts();
    this.text = h("pre", { class: "text", tabindex: 0, "aria-label": "The statement" }, h("code", {}));
    this.error = h("p", { class: "notice", role: "alert" });
    this.stages = h("ul", { class: "card stages" });
    this.charts = h("div", { class: "columns" });
    this.plan = h("div", { class: "plan" });
    this.bottleneck = h("p", { class: "quiet small" });
    this.models = h("div");
    this.errors = h("ul", { class: "pictures wide" });
    this.latestErrors = latestErrors(id);
    this.latestRows = latestRows(id);
    this.slowest = h("ul", { class: "pictures" });
    this.results = h("div");
    const { button, answer } = cancelButton(() => id);
    this.button = button;
    this.name = h("h1", {}, "Query");
    this.sections = {
      stages: section("Progress", this.stages),
      charts: section("Over time", this.charts),
      plan: section("Plan", this.bottleneck, this.plan),
      models: section("Models", this.models),
      rows: section("Images", h("p", { class: "small" }, h("a", { href: `${address(id)}/sheet` }, "Contact sheet")), this.latestRows.element),
      errors: section("Errors by kind", this.errors),
      latestErrors: section("Latest errors", this.latestErrors.element),
      results: section("First rows", this.results),
      slowest: section("Slowest images", h("p", { class: "quiet small" }, "Those that took longest to decode."), this.slowest),
    };
    const top = h("section", { class: "stack", "aria-label": "Summary" },
      h("p", { class: "small" }, h("a", { href: "#/" }, "All queries")),
      h("div", { class: "head" }, this.name, this.state.element, h("span", { class: "end" }, button)), answer,
      this.text, this.error, h("div", { class: "card stack" }, this.share.element, this.numbers.element));
    this.element = h("div", { class: "parts" }, top, Object.values(this.sections));
    for (const part of Object.values(this.sections)) part.classList.add("stack");
    this.element.hidden = true;
    this.followed = followed(id, this.element, "Query", (query) => this.show(query));
  }

  update(known) {
    this.known = known;
    this.followed.update(known);
  }

  show(query) {
    this.element.hidden = false;
    this.last = query;
    const runs = query.state === "running";
    say(this.name, query.name ?? "Query");
    this.state.update(query.state);
    say(this.text.firstChild, query.text);
    this.button.hidden = !runs || !this.known.canCancel;
    this.error.hidden = !query.error;
    this.error.classList.toggle("wrong", query.state === "failed");
    say(this.error, query.error ?? "");
    this.share.element.hidden = !runs;
    this.share.update(query.share);
    this.showNumbers(query);
    this.showStages(query);
    this.showCharts(query);
    this.showPlan(query);
    this.showModels(query);
    this.showRows(query);
    this.showErrors(query);
    this.showSlowest(query);
    this.showResults(query);
    this.before = { at: performance.now(), query };
  }

  /** How much a number has grown a second since the last look; `null` at the first. */
  grown(now, of) {
    if (!this.before || this.last.state !== "running") return null;
    const seconds = (performance.now() - this.before.at) / 1000;
    const earlier = of(this.before.query);
    return seconds > 0.2 && earlier !== undefined && earlier !== null ? Math.max(0, now - earlier) / seconds : null;
  }

  showNumbers(query) {
    const { query: account, memory } = query.accounts;
    const left = query.state === "running" ? [["Done", query.share === null ? "–" : percent(query.share)], ["Left", duration(query.seconds_left)]] : [];
    this.numbers.update([
      [`${unit(query)} a second`, rate(query.images_per_second)],
      [unit(query), count(query.images)],
      ["Rows of the result", count(query.rows)],
      ...left,
      ["Time", duration(query.seconds)],
      ["Failed", count(query.failed_rows), query.failed_rows > 0 ? "wrong" : ""],
      ["Use of the cores", `${percent(account.cpu_share)} of ${account.cores}`],
      ["Most memory", bytes(account.peak_memory_bytes)],
      ["Began", moment(query.started_ms)],
      ...(memory.spilled_bytes > 0 ? [["Spilled to disk", bytes(memory.spilled_bytes)]] : []),
    ]);
  }

  showStages(query) {
    this.sections.stages.hidden = query.stages.length === 0;
    keyed(this.stages, query.stages, (stage) => stage.stage, (stage) => {
      const share = bar(`Share ${stage.stage}`);
      const [done, speed] = [h("span", { class: "number" }), h("span", { class: "number quiet" })];
      return {
        element: h("li", {}, h("span", {}, stage.stage), share.element, done, speed),
        update: (now) => {
          const isDone = now.total !== null && now.done >= now.total;
          share.update(now.total ? Math.min(1, now.done / now.total) : this.last.state === "running" ? null : 1);
          say(done, now.total === null ? count(now.done) : `${count(now.done)} of ${count(now.total)}`);
          const growth = this.grown(now.done, (earlier) => earlier.stages.find((other) => other.stage === now.stage)?.done);
          say(speed, isDone ? "done" : growth === null ? "" : `${rate(growth)}/s`);
        },
      };
    });
  }

  showCharts(query) {
    this.sections.charts.hidden = query.samples.length < 3;
    if (query.samples.length < 3) return;
    if (!this.throughput) {
      this.throughput = chart(`${unit(query)} a second`, "between moments", [{ name: unit(query), ink: 1 }], true);
      const lines = query.sampled_stages.filter((stage) => SHOWN[stage]).map((stage) => ({ name: stage, ink: SHOWN[stage] }));
      this.work = chart("Work by stage", "threads at work", lines);
      this.charts.replaceChildren(this.throughput.element, this.work.element);
    }
    this.throughput.update(...rates(query.samples, (sample) => [sample.rows]));
    const places = query.sampled_stages.map((stage, place) => [stage, place]).filter(([stage]) => SHOWN[stage]);
    this.work.update(...rates(query.samples, (sample) => places.map(([, place]) => sample.busy_seconds[place])));
  }

  showPlan(query) {
    this.sections.plan.hidden = query.plan.length === 0;
    const held = query.bottleneck;
    const runs = query.state === "running";
    say(this.bottleneck, held ? `${runs ? "Now" : "In all"} the stage “${held}” holds up the others.` : "");
    this.bottleneck.hidden = !held;
    const shape = JSON.stringify(query.plan.map((node) => [node.depth, node.name]));
    if (shape !== this.shape) {
      this.shape = shape;
      this.nodes = query.plan.map((_, place) => planNode(place, this));
      this.plan.replaceChildren(tree(query.plan, this.nodes));
    }
    query.plan.forEach((node, place) => this.nodes[place].update(node));
  }

  showModels(query) {
    const { models } = query.accounts;
    this.sections.models.hidden = models.length === 0;
    const columns = [["Model"], ["Device"], ["Batch", true], ["Sessions", true], ["Rows", true], ["Rows a batch", true], ["p50", true], ["p95", true], ["p99", true], ["Waiting", true], ["Running", true], ["Memory", true]];
    const rows = models.map((model) => ({ cells: [
      model.name, model.device, count(model.batch_size), `${model.loaded_sessions} of ${model.concurrency}`, count(model.rows), rate(model.rows_a_batch),
      duration(model.p50_seconds), duration(model.p95_seconds), duration(model.p99_seconds), duration(model.queue_seconds), duration(model.run_seconds), bytes(model.memory_bytes),
    ] }));
    const text = JSON.stringify(rows);
    if (text === this.modelsText) return;
    this.modelsText = text;
    this.models.replaceChildren(table("Models of this query", columns, rows, "cards"));
  }

  image(part, number) {
    return imageOf(this.id, part, number);
  }

  /** The last of the sample, and of the errors; queries of earlier versions have neither. */
  showRows(query) {
    const [rows, errors] = [query.sampled_rows ?? [], query.latest_errors ?? []];
    this.sections.rows.hidden = rows.length === 0;
    this.latestRows.update(rows);
    this.sections.latestErrors.hidden = errors.length === 0;
    this.latestErrors.update(errors);
  }

  showErrors(query) {
    this.sections.errors.hidden = query.errors.length === 0;
    const numbered = query.errors.map((error, number) => ({ ...error, number }));
    keyed(this.errors, numbered.slice(0, 24), (error) => `${error.number} ${error.name}`, (error) => {
      const number = h("strong", {});
      return {
        element: h("li", {}, picture(this.image("errors", error.number), error.name), h("div", {}, number, h("div", { class: "lines" }, error.error), h("div", { class: "quiet lines" }, error.name))),
        update: (now) => say(number, `${count(now.count)} ×`),
      };
    });
  }

  showSlowest(query) {
    this.sections.slowest.hidden = query.slowest_images.length === 0;
    // Their places change while a query runs.
    if (query.state === "running" && this.slowest.children.length) return;
    const numbered = query.slowest_images.map((image, number) => ({ ...image, number }));
    this.slowest.known = undefined;
    this.slowest.replaceChildren();
    keyed(this.slowest, numbered, (image) => image.number, (image) => ({
      element: h("li", { title: image.name }, picture(this.image("slowest_images", image.number), image.name), h("div", { class: "clip" }, fileName(image.name)), h("div", { class: "quiet" }, duration(image.seconds))),
      update: () => {},
    }));
  }

  showResults(query) {
    const { columns, rows } = query.results;
    this.sections.results.hidden = rows.length === 0;
    const text = JSON.stringify(query.results);
    if (text === this.resultsText || rows.length === 0) return;
    this.resultsText = text;
    const path = columns.indexOf("path");
    const titles = path >= 0 ? [["Image"], ...columns.map((column) => [column])] : columns.map((column) => [column]);
    const body = rows.map((row, number) => {
      const cells = row.map((cell) => (cell === null ? h("span", { class: "quiet" }, "NULL") : cell));
      return { cells: path >= 0 ? [row[path] === null ? "" : picture(this.image("results", number), fileName(row[path])), ...cells] : cells };
    });
    this.results.replaceChildren(table("First rows of the result", titles, body));
  }

  end() {
    this.throughput?.end();
    this.work?.end();
  }
}

/** The operators as lists within lists. */
function tree(plan, nodes) {
  const root = h("ul");
  const lists = [root];
  plan.forEach((node, place) => {
    const below = h("ul", { class: "below" });
    const item = h("li", {}, nodes[place].element);
    const hasChildren = plan[place + 1]?.depth > node.depth;
    if (hasChildren) item.append(below);
    (lists[node.depth] ?? root).append(item);
    lists.length = node.depth + 1;
    if (hasChildren) lists.push(below);
  });
  return root;
}

function planNode(place, view) {
  const [name, speed, rest] = [h("span", { class: "name" }), h("span", { class: "rate" }), h("code", { class: "rest" })];
  const mark = h("span", { class: "badge bottleneck" }, "Bottleneck");
  const chips = h("ul", { class: "chips" });
  const element = h("div", { class: "node" }, h("div", { class: "head" }, name, mark, speed), rest, chips);
  return {
    element,
    update: (node) => {
      element.classList.toggle("is-bottleneck", node.is_bottleneck);
      mark.hidden = !node.is_bottleneck;
      say(name, node.name);
      say(rest, node.line.startsWith(`${node.name}: `) ? node.line.slice(node.name.length + 2) : node.line === node.name ? "" : node.line);
      rest.hidden = rest.textContent === "";
      const growth = node.rows === null ? null : view.grown(node.rows, (earlier) => earlier.plan[place]?.rows);
      const rows = node.rows === null ? "" : `${count(node.rows)} ${node.rows === 1 ? "row" : "rows"}`;
      say(speed, growth === null ? rows : `${rows}, ${rate(growth)}/s`);
      const shown = node.seconds.slice(0, 5).map(([what, seconds]) => ({ what, seconds }));
      if (node.queued !== undefined && node.queued !== null) shown.unshift({ what: "waiting in the queue", text: `${count(node.queued)} morsels` });
      keyed(chips, shown, (chip) => chip.what, (chip) => {
        const value = h("b");
        return {
          element: h("li", {}, `${chip.what.replaceAll("_", " ")} `, value),
          update: (now) => {
            const busy = now.text ? null : view.grown(now.seconds, (earlier) => earlier.plan[place]?.seconds.find(([other]) => other === now.what)?.[1]);
            say(value, now.text ?? (busy === null ? duration(now.seconds) : `${duration(now.seconds)} (${busy.toFixed(1)} now)`));
          },
        };
      });
    },
  };
}
