// Charts over time, drawn by uPlot. Each says in words what it shows, and has its values in a legend.

import { h, keyed, rate, say } from "/elements.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A chart of lines: `lines` are `{ name, ink }` with `ink` from 1 to 6; `update(x, ys)` takes the seconds and an array of
 * numbers for each line.
 */
export function chart(title, unit, lines, isFilled = false) {
  const plot = h("div", { class: "plot", role: "img" });
  const legend = h("ul", { class: "legend" });
  const element = h("figure", { class: "card chart" }, h("figcaption", { class: "head" }, h("h3", {}, title), h("span", { class: "quiet small" }, unit)), plot, legend);
  let [drawn, data] = [null, [[], ...lines.map(() => [])]];

  const values = (place) => {
    const make = (line) => {
      const value = h("b");
      return {
        element: h("li", {}, h("span", { class: `swatch s${line.ink}` }), h("span", {}, line.name), value),
        update: (line) => say(value, line.value),
      };
    };
    const shown = lines.map((line, number) => ({ ...line, value: rate(data[number + 1][place] ?? 0) }));
    keyed(legend, shown, (line) => line.name, make);
  };

  const draw = () => {
    drawn?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options = {
      width: plot.clientWidth || 300,
      height: 200,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] } },
      axes: [
        { ...axis, size: 28, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
        { ...axis, size: 48, values: (_, ticks) => ticks.map((tick) => (tick >= 10000 ? `${tick / 1000}k` : String(tick))) },
      ],
      series: [{}, ...lines.map((line) => ({
        stroke: colour(`--series-${line.ink}`),
        width: 2,
        points: { show: data[0].length < 3 },
        fill: isFilled ? `${colour(`--series-${line.ink}`)}22` : undefined,
      }))],
      hooks: { setCursor: [(plotted) => values(plotted.cursor.idx ?? data[0].length - 1)] },
    };
    drawn = new window.uPlot(options, data, plot);
  };

  const resize = new ResizeObserver(() => drawn?.setSize({ width: plot.clientWidth, height: 200 }));
  resize.observe(plot);
  dark.addEventListener("change", draw);

  return {
    element,
    update: (x, ys) => {
      data = [x, ...ys];
      if (drawn && x.length > 3) drawn.setData(data);
      else draw();
      if (drawn.cursor.idx === null || drawn.cursor.idx === undefined) values(x.length - 1);
      const most = ys.map((y, number) => `${lines[number].name}: now ${rate(y.at(-1) ?? 0)}, at most ${rate(Math.max(0, ...y))}`);
      plot.setAttribute("aria-label", `${title}, ${unit}, over ${Math.round(x.at(-1) ?? 0)} seconds. ${most.join("; ")}`);
    },
    end: () => {
      resize.disconnect();
      dark.removeEventListener("change", draw);
      drawn?.destroy();
    },
  };
}

/** The changes of sums between samples, as rates: `[x, y of each]`, where `sums` gives the sums of a sample. */
export function rates(samples, sums) {
  const x = [];
  const ys = samples.length ? sums(samples[0]).map(() => []) : [];
  for (let place = 1; place < samples.length; place += 1) {
    const [before, now] = [samples[place - 1], samples[place]];
    const seconds = now.seconds - before.seconds;
    // What is left over at the end of a query is too short for a rate.
    if (seconds < 0.2) continue;
    x.push(Math.round(now.seconds * 10) / 10);
    const earlier = sums(before);
    sums(now).forEach((sum, line) => ys[line].push(Math.max(0, (sum - earlier[line]) / seconds)));
  }
  return [x, ys];
}
