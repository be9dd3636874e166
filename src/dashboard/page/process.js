// The process and its machine, the executors of its cluster, its devices, and settings.

import { get } from "/api.js";
import { bar, bytes, count, duration, empty, facts, h, keyed, moment, percent, rate, say, section, table } from "/elements.js";

/** How often executors are read again. */
const INTERVAL = 5000;

export function processView() {
  const numbers = facts();
  const cores = h("ul", { class: "cores" });
  const about = facts("facts small");
  const executors = h("div");
  const cluster = section("Executors of the cluster", executors);
  cluster.hidden = true;
  const devices = h("div");
  const settings = h("div");
  const element = h("div", { class: "parts" }, h("h1", {}, "Process"),
    h("div", { class: "card stack" }, numbers.element, h("h2", {}, "Cores of the machine"), cores),
    cluster, section("Devices", devices), section("Engine", h("div", { class: "card" }, about.element)), section("Settings", settings));
  for (const part of element.querySelectorAll("section")) part.classList.add("stack");

  let [timer, hasEnded] = [0, false];
  const ask = async () => {
    try {
      const all = await get("/api/v1/executors");
      if (!all.scheduler) return;
      cluster.hidden = false;
      executors.replaceChildren(all.error ? empty("The executors can't be read", all.error) : executorTable(all.executors));
    } catch (error) {
      executors.replaceChildren(empty("The executors can't be read", error.message));
    }
    if (!hasEnded) timer = setTimeout(ask, INTERVAL);
  };
  ask();
  get("/api/v1/devices").then(
    (all) => devices.replaceChildren(all.error ? empty("ONNX Runtime can't be opened", all.error) : deviceTable(all.devices)),
    (error) => devices.replaceChildren(empty("The devices can't be read", error.message)),
  );
  get("/api/v1/process").then(
    (all) => {
      about.update([
        ["Seequel", all.version],
        ["DataFusion", all.datafusion],
        ["Process", String(all.pid)],
        ["Dashboard", all.address],
        ["Home", all.home],
        ["May cancel queries", all.can_cancel ? "yes" : "no; --dashboard-actions allows it"],
      ]);
      settings.replaceChildren(table("Settings of the session", [["Setting"], ["Value"]], all.settings.map((cells) => ({ cells }))));
    },
    (error) => settings.replaceChildren(empty("The settings can't be read", error.message)),
  );

  return {
    element,
    end: () => {
      hasEnded = true;
      clearTimeout(timer);
    },
    update: ({ process }) => {
      if (!process) return;
      numbers.update([
        ["Busy cores", `${rate(process.busy_cores)} of ${process.cores.length}`],
        ["Resident memory", `${bytes(process.memory_bytes)} of ${bytes(process.memory_limit_bytes)}`],
        ["Reserved by queries", process.reservable_bytes === null ? bytes(process.reserved_bytes) : `${bytes(process.reserved_bytes)} of ${bytes(process.reservable_bytes)}`],
        ["Reading files", `${bytes(process.read_bytes_per_second)}/s`],
        ["Writing files", `${bytes(process.written_bytes_per_second)}/s`],
        ["Network in, all programs", `${bytes(process.received_bytes_per_second)}/s`],
        ["Network out, all programs", `${bytes(process.sent_bytes_per_second)}/s`],
        ["Processor time", duration(process.cpu_seconds)],
        ["Started", moment(process.started_seconds * 1000)],
      ]);
      keyed(cores, process.cores.map((use, number) => ({ use, number })), (core) => core.number, (core) => {
        const share = bar(`Use of core ${core.number}`);
        const text = h("span", { class: "number" });
        return {
          element: h("li", {}, h("span", { class: "quiet" }, String(core.number)), share.element, text),
          update: (now) => {
            share.update(now.use);
            say(text, percent(now.use));
          },
        };
      });
    },
  };
}

/** What executors run, and the models that they have loaded. */
function executorTable(executors) {
  const models = (executor) => executor.models.map((model) => `${model.name} (${count(model.sessions)} on ${model.device})`).join(", ");
  const rows = executors.map((executor) => ({
    cells: [
      executor.address, executor.tasks === null ? "–" : `${count(executor.tasks)} of ${count(executor.cores)}`,
      models(executor) || "–", moment(executor.last_seen_ms),
    ],
  }));
  return table("Executors of the cluster", [["Address"], ["Tasks"], ["Models loaded, with sessions"], ["Last seen"]], rows);
}

/** What models could run on, and what the other providers need. */
function deviceTable(devices) {
  const rows = devices.map((device) => ({
    cells: [
      device.device, device.name ?? "–", device.memory_bytes === null ? "–" : bytes(device.memory_bytes), device.version ?? "–",
      device.missing ?? "ready",
    ],
  }));
  return table("Devices that models could run on", [["Device"], ["Hardware"], ["Memory", true], ["ONNX Runtime"], ["What it needs"]], rows);
}
