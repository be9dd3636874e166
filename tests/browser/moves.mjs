// The numbers of a query that runs move, in the list and on its page, its images come with their labels, and there is
// nothing to cancel it with.

import assert from "node:assert/strict";
import { browse, fact, link, running, until } from "./support.mjs";

/** Waits until a number has grown twice. */
async function grows(part, term) {
  let before = await until(() => fact(part, term), (number) => number > 0);
  for (const _ of [1, 2]) before = await until(() => fact(part, term), (number) => number > before);
}

await browse(async (open) => {
  const page = await open();
  await page.goto(link);
  const card = running(page);
  await card.waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  await grows(card, "Images");
  assert.ok((await fact(card, "Images a second")) > 0);
  await until(() => card.locator("dl").innerText(), (facts) => /Done\s+\d+ %/.test(facts));
  await until(() => card.getByRole("progressbar").getAttribute("value"), (share) => Number(share) > 0);

  await card.locator("a.sql").click();
  await page.getByRole("heading", { name: "Progress" }).waitFor();
  await grows(page.getByLabel("Summary"), "Images");
  await page.locator(".plan .node.is-bottleneck").first().waitFor();
  await page.locator(".chart canvas").first().waitFor();
  const images = page.getByRole("region", { name: "Images", exact: true }).locator("li:has(img)");
  await until(() => images.count(), (number) => number === 12);
  await images.first().getByText("lion", { exact: true }).waitFor();
  const newest = await images.first().getAttribute("title");
  await until(() => images.first().getAttribute("title"), (title) => title !== newest);
  await page.goBack();
  await card.waitFor();
  assert.equal(await page.getByRole("button", { name: "Cancel" }).count(), 0);
});
