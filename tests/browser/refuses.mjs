// Nobody opens the dashboard without its token, and no other page changes anything, even if the browser has the token.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { browse, link, origin, running } from "./support.mjs";

const other = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!DOCTYPE html><title>Another page</title>"));
await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
const foreign = `http://127.0.0.1:${other.address().port}`;

/** What a page gets that asks for `path`: a status, or that the browser or the dashboard refuses. */
const ask = (page, path, options) =>
  page.evaluate(async ([url, options]) => {
    try {
      return (await fetch(url, { credentials: "include", ...options })).status;
    } catch {
      return "refused";
    }
  }, [`${origin}${path}`, options]);

await browse(async (open) => {
  const page = await open();
  for (const path of ["/", "/?token=", "/?token=0123456789abcdef", "/api/v1/queries"]) {
    const answer = await page.goto(origin + path);
    assert.equal(answer.status(), 401, path);
    assert.match(await page.locator("body").innerText(), /asks for a token/);
  }

  await page.goto(link);
  assert.equal(page.url(), `${origin}/`, "the token has left the address");
  await running(page).waitFor();
  const id = (await running(page).locator("a.sql").getAttribute("href")).split("/").pop();
  assert.equal(await page.evaluate(() => document.cookie), "", "scripts can't read the token");

  // Cookies are the same for all ports of a host.
  const visit = async () => {
    const evil = await page.context().newPage();
    await evil.goto(foreign);
    return evil;
  };
  const evil = await visit();
  for (const [path, options] of [
    ["/api/v1/queries", {}],
    [`/api/v1/queries/${id}/cancel`, { method: "POST" }],
    ["/metrics", { mode: "no-cors" }],
  ]) assert.equal(await ask(evil, path, options), "refused", path);
  const sender = await visit();
  const sent = sender.waitForResponse((answer) => answer.url().endsWith("/cancel") && answer.request().method() === "POST");
  await sender.evaluate((url) => {
    const form = Object.assign(document.createElement("form"), { method: "post", action: url });
    document.body.append(form);
    form.submit();
  }, `${origin}/api/v1/queries/${id}/cancel`);
  assert.equal((await sent).status(), 403);
  const listens = await evil.evaluate((url) => new Promise((resolve) => {
    const events = new EventSource(url, { withCredentials: true });
    events.onopen = () => resolve("open");
    events.onerror = () => resolve("refused");
  }), `${origin}/api/v1/events`);
  assert.equal(listens, "refused");
  const framed = await evil.evaluate((url) => new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), { src: url });
    frame.onload = () => resolve(frame.contentDocument === null ? "hidden" : frame.contentDocument.body.childElementCount);
    document.body.append(frame);
  }), `${origin}/`);
  assert.equal(framed, "hidden");
  assert.equal(await evil.frames()[1].locator("nav").count(), 0, "the frame is empty");

  await page.reload();
  await running(page).waitFor();
  assert.equal(await running(page).locator("a.sql").getAttribute("href"), `#/query/${id}`, "it still runs");
}, { allowed: [foreign], mayComplain: true });
other.close();
