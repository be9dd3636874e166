// A contact sheet shows the images of a query with what models found in them, to choose by label and confidence.

import assert from "node:assert/strict";
import { browse, ended, link, until } from "./support.mjs";

await browse(async (open) => {
  const page = await open();
  await page.goto(link);
  await ended(page).first().locator("a.sql").click();
  await page.getByRole("link", { name: "Contact sheet" }).click();
  await page.getByRole("heading", { name: "Contact sheet" }).waitFor();
  const cards = page.locator(".sheet > li");
  await until(() => cards.count(), (number) => number === 3);
  await page.getByText("Showing 3 images.").waitFor();

  // Both pictures are there, and the third says why it has none.
  await until(() => page.evaluate(() => [...document.querySelectorAll(".sheet img")].filter((image) => image.naturalWidth > 0).length), (pictures) => pictures === 2);
  const broken = cards.filter({ hasText: "broken.jpg" });
  await broken.getByText("no picture of it").waitFor();
  await broken.getByText(/not an image/).waitFor();

  const both = cards.filter({ hasText: "both.png" });
  await both.getByText("dog", { exact: true }).first().waitFor();
  const frames = await both.locator("svg .line").count();
  assert.ok(frames >= 1, "objects have boxes");
  const [image, drawing] = [await both.locator("img").boundingBox(), await both.locator("svg").boundingBox()];
  assert.deepEqual(drawing, image, "boxes lie over the picture");

  await page.getByLabel("Label").selectOption("dog");
  await until(() => cards.count(), (number) => number === 1);
  await page.getByText("Showing 1 of 3 images.").waitFor();
  await page.getByLabel("Confidence at least").fill("100");
  await until(() => cards.count(), (number) => number === 0);
  await page.getByLabel("Confidence at least").fill("0");
  await page.getByLabel("Label").selectOption("all");
  await page.getByLabel("Order").selectOption("name");
  const names = await cards.locator("bdi").filter({ hasText: /\.(png|jpg)$/ }).allInnerTexts();
  assert.deepEqual(names, ["both.png", "broken.jpg", "horses.jpg"]);

  await page.getByRole("heading", { name: "Contact sheet" }).click();
  await page.keyboard.press("Escape");
  await page.getByRole("heading", { name: "Latest errors" }).waitFor();
  assert.match(page.url(), /#\/query\/[^/]+$/);
});
