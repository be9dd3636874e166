// A page looks as in the pictures in looks/, which have half its size, at three widths, in light and dark. UPDATE_LOOKS=1
// writes them anew: look at each in full size, in the folder of what has failed, before it is committed.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { browse, link } from "./support.mjs";

const { PAGE, ADDRESS, FAILED_LOOKS, UPDATE_LOOKS } = process.env;
const LOOKS = join(dirname(fileURLToPath(import.meta.url)), "looks");

/** What the stream of events says at all times: the one thing of a page that moves. */
const SNAPSHOT = JSON.parse(readFileSync(join(dirname(fileURLToPath(import.meta.url)), "snapshot.json"), "utf8"));

/** How much smaller pictures are kept. */
const SMALLER = 2;
/** They are compared in cells of so many of their pixels a side, so that other ways to smooth letters don't matter. */
const CELL = 2;
/** How much a cell's colour may differ, of 255. */
const MOST_DIFFERENCE = 24;
/** How many cells may differ more: a letter has ten. */
const MOST_CELLS = 20;

/** What a page shows once all that it asks for has come. */
const LAST_CONTENT = {
  queries: ["section[aria-label=Ended] tbody tr", ".live .card button"],
  query: [".chart canvas", "h2:text-is('First rows')", "h2:text-is('Slowest images')"],
  sheet: ["text=Showing 14 of 1,220 images"],
};

/** A stream of events that is open and has said one thing. */
function stillStream(snapshot) {
  window.EventSource = class extends EventTarget {
    readyState = 1;
    constructor() {
      super();
      setTimeout(() => {
        this.dispatchEvent(new Event("open"));
        this.dispatchEvent(new MessageEvent("snapshot", { data: JSON.stringify(snapshot) }));
      });
    }
    close() {}
  };
}

/** Waits until all pictures of a page are there, also those that are read when they come into sight. */
async function complete(page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    for (const image of document.images) image.loading = "eager";
    await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  });
}

/** The picture as WebP, and how many cells differ from `expected`, or why it can't be compared. */
async function compare({ actual, expected, smaller, cell, most }) {
  const read = async (data, type) => createImageBitmap(await (await fetch(`data:image/${type};base64,${data}`)).blob());
  const drawn = (bitmap, scale) => {
    const canvas = new OffscreenCanvas(Math.ceil(bitmap.width / scale), Math.ceil(bitmap.height / scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return { canvas, pixels: context.getImageData(0, 0, canvas.width, canvas.height).data };
  };
  const now = await createImageBitmap(drawn(await read(actual, "png"), smaller).canvas);
  const blob = await drawn(now, 1).canvas.convertToBlob({ type: "image/webp", quality: 0.5 });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const webp = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  if (!expected) return { webp, why: "there is no picture of it yet" };
  const before = await read(expected, "webp");
  if (now.width !== before.width || now.height !== before.height) {
    return { webp, why: `it has ${now.width} × ${now.height} pixels instead of ${before.width} × ${before.height}` };
  }
  // What WebP loses is the same on both sides.
  const [one, other] = [await createImageBitmap(blob), before].map((bitmap) => drawn(bitmap, cell).pixels);
  let different = 0;
  for (let place = 0; place < one.length; place += 4) {
    const by = Math.max(...[0, 1, 2].map((channel) => Math.abs(one[place + channel] - other[place + channel])));
    different += Number(by > most);
  }
  return { webp, different };
}

const failures = [];
await browse(async (open) => {
  const blank = await open();
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 768, 1440]) {
      const page = await open({ colorScheme, viewport: { width, height: 900 } });
      await page.addInitScript(stillStream, SNAPSHOT);
      await page.goto(link + ADDRESS);
      for (const content of ["#connection.open", ...LAST_CONTENT[PAGE]]) await page.locator(content).first().waitFor();
      await complete(page);
      const actual = (await page.screenshot({ fullPage: true, animations: "disabled" })).toString("base64");
      await page.context().close();
      const name = `${PAGE}-${width}-${colorScheme}`;
      const file = join(LOOKS, `${name}.webp`);
      const expected = existsSync(file) ? readFileSync(file).toString("base64") : null;
      const { webp, why, different } = await blank.evaluate(compare, { actual, expected, smaller: SMALLER, cell: CELL, most: MOST_DIFFERENCE });
      if (!why && different <= MOST_CELLS) continue;
      const shown = join(FAILED_LOOKS, `${name}.png`);
      writeFileSync(shown, Buffer.from(actual, "base64"));
      if (UPDATE_LOOKS) writeFileSync(file, Buffer.from(webp, "base64"));
      else failures.push(`${name}: ${why ?? `${different} cells differ`}; see ${shown}`);
    }
  }
});
assert.deepEqual(failures, [], "UPDATE_LOOKS=1 takes the new pictures, if they are right");
