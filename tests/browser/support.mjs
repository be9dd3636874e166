// A browser that looks at the dashboard, and what is asked of every page.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { CHROMIUM, DASHBOARD, FOLDER, PACKAGES } = process.env;
export const require = createRequire(`${PACKAGES}/`);
const { chromium } = require("playwright-core");

/** The link that was shown, perhaps with a token, and the dashboard's origin. */
export const link = DASHBOARD;
export const origin = new URL(DASHBOARD).origin;

/** How long something may take that usually takes seconds, in milliseconds. */
const PATIENCE = 60_000;

/** One font on every machine, so that texts are as wide everywhere. */
function fonts() {
  const file = join(FOLDER, "fonts.conf");
  writeFileSync(file, `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>${join(PACKAGES, "node_modules/dejavu-fonts-ttf/ttf")}</dir>
<cachedir>${join(FOLDER, "font-cache")}</cachedir>
<match><test name="family"><string>monospace</string></test><edit name="family" mode="prepend"><string>DejaVu Sans Mono</string></edit></match>
<match><edit name="family" mode="append_last"><string>DejaVu Sans</string></edit></match>
</fontconfig>
`);
  return file;
}

/**
 * Calls `test` with a function that opens a page, which takes options of a browser's context. Fails if a page asks anybody
 * but the dashboard and `allowed`, runs what it was only to show, or complains, unless `mayComplain`.
 */
export async function browse(test, { allowed = [], mayComplain = false } = {}) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--font-render-hinting=none", "--disable-lcd-text", "--force-color-profile=srgb", "--disable-gpu"],
    env: { ...process.env, FONTCONFIG_FILE: fonts() },
  });
  const [asked, complaints] = [[], []];
  const open = async (options = {}) => {
    const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(PATIENCE);
    context.on("request", (request) => asked.push(request.url()));
    // Of some images there is no picture, which the page says in its place.
    const isComplaint = (message) => ["error", "warning"].includes(message.type()) && !message.location().url.endsWith("/image");
    context.on("console", (message) => isComplaint(message) && complaints.push(`${message.text()} ${message.location().url}`));
    context.on("weberror", (error) => complaints.push(error.error().stack));
    context.on("dialog", (dialog) => dialog.dismiss().then(() => complaints.push(`a dialog: ${dialog.message()}`)));
    const page = await context.newPage();
    page.on("websocket", (socket) => asked.push(socket.url()));
    return page;
  };
  try {
    await test(open);
  } finally {
    await browser.close();
  }
  const isOwn = (url) => [origin, ...allowed].includes(new URL(url).origin) || url.startsWith("data:");
  assert.ok(asked.length > 0);
  assert.deepEqual(asked.filter((url) => !isOwn(url)), [], "no page asks anybody else");
  if (!mayComplain) assert.deepEqual(complaints, []);
}

/** Waits until `read()` gives something that `wanted` is true of, and returns it. */
export async function until(read, wanted) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await read();
    if (wanted(value)) return value;
    if (Date.now() > deadline) assert.fail(`not what is waited for: ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The number that stands beside a term, such as "Images". */
export async function fact(part, term) {
  const value = part.locator("dl > div").filter({ has: part.page().locator("dt", { hasText: new RegExp(`^${term}$`) }) }).locator("dd");
  return Number((await value.innerText()).replaceAll(",", ""));
}

/** The card of a query that runs. */
export const running = (page) => page.locator(".live .card");
/** The rows of those that have ended. */
export const ended = (page) => page.locator("section[aria-label=Ended] tbody tr");
