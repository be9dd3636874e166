// A click on Cancel ends a query.

import assert from "node:assert/strict";
import { browse, fact, link, running, until } from "./support.mjs";

// The process ends with its query, so that the page's last requests may fail.
await browse(async (open) => {
  const page = await open();
  await page.goto(link);
  await until(() => fact(running(page), "Images"), (images) => images > 0);
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.url().endsWith("/cancel")),
    running(page).getByRole("button", { name: /^Cancel/ }).click(),
  ]);
  assert.equal(answer.status(), 202);
}, { mayComplain: true });
