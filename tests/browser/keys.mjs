// Without a mouse: to the content, to a query, into it, back to where it was.

import assert from "node:assert/strict";
import { browse, ended, link, until } from "./support.mjs";

const focused = (page) => page.evaluate(() => document.activeElement.textContent);

await browse(async (open) => {
  const page = await open();
  await page.goto(link);
  const query = ended(page).first().locator("a.sql");
  await query.waitFor();
  const text = await query.innerText();

  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  for (let tabs = 0; (await focused(page)) !== text; tabs += 1) {
    assert.ok(tabs < 10, "a query is a few tabs away");
    await page.keyboard.press("Tab");
  }
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(ring, "solid", "the focus is to be seen");

  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "First rows" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.keyboard.press("Escape");
  await query.waitFor();
  await until(() => focused(page), (now) => now === text);
  assert.equal(new URL(page.url()).hash, "#/");
});
