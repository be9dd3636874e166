// Markup in the names of files, in SQL, labels and errors stays text.

import assert from "node:assert/strict";
import { browse, ended, link } from "./support.mjs";

const SCRIPT = "<script>hacked()</script>";
const IMAGE = "<img src=x onerror=hacked()>";

/** Checks that nothing has become markup, and that all `texts` are shown. */
async function isText(page, texts) {
  for (const text of texts) await page.getByText(text).first().waitFor();
  const made = await page.evaluate(() => ({
    scripts: [...document.scripts].filter((script) => !script.src || script.textContent).length,
    images: [...document.images].filter((image) => image.hasAttribute("onerror") || image.getAttribute("src") === "x").length,
    listeners: document.querySelectorAll("[onerror], [onclick], [onload]").length,
    titles: document.title.includes("<"),
  }));
  assert.deepEqual(made, { scripts: 0, images: 0, listeners: 0, titles: false });
  assert.deepEqual(await page.evaluate(() => window.hacks), []);
}

await browse(async (open) => {
  const page = await open();
  await page.addInitScript(() => {
    window.hacks = [];
    window.hacked = (what) => window.hacks.push(String(what));
  });
  await page.goto(link);
  await ended(page).first().waitFor();
  await isText(page, [IMAGE, SCRIPT]);
  await ended(page).first().locator("a.sql").click();
  await page.getByRole("heading", { name: "First rows" }).waitFor();
  await isText(page, [IMAGE, SCRIPT, /<script>hacked\(\d+\)<\/script>/, /<script>hacked\(\)<\.jpg/]);
  await page.getByRole("link", { name: "Contact sheet" }).click();
  await page.getByRole("heading", { name: "Contact sheet" }).waitFor();
  await isText(page, [/^<img src=x onerror=hacked\(\)>\.jpg$/, /^<script>hacked\(\)<\.jpg$/]);
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByRole("heading", { name: IMAGE }).waitFor();
  await isText(page, [IMAGE]);
});
