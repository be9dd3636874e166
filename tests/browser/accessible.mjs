// axe-core finds nothing wrong with any page at two widths, and none scrolls to the side, in the scheme that is asked for.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { browse, link, require, running } from "./support.mjs";

const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PAGES = { "#/": "Ended", "#/query/fixed-1": "First rows", "#/query/fixed-1/sheet": "The query", "#/query/none": "This query can't be shown", "#/models": "efficientnet_lite0", "#/process": "Settings" };

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const { SCHEME } = process.env;

await browse(async (open) => {
  const page = await open({ colorScheme: SCHEME });
  // The page's policy does not hold for what a debugger evaluates.
  const debug = await page.context().newCDPSession(page);
  await page.goto(link);
  await running(page).waitFor();
  await debug.send("Runtime.evaluate", { expression: axe });
  for (const width of [1440, 360]) {
    await page.setViewportSize({ width, height: 900 });
    for (const [address, content] of Object.entries(PAGES)) {
      await page.evaluate((hash) => (location.hash = hash), address);
      await page.getByText(content, { exact: true }).first().waitFor();
      const { violations } = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules }), RULES);
      const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
      assert.deepEqual(found, [], `${address} at ${width} in ${SCHEME}`);
      const isWide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      assert.ok(!isWide, `${address} scrolls to the side at ${width}`);
    }
  }
}, { mayComplain: true });
