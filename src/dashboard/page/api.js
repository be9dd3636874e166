// What the page knows, and where from: one stream of events for what changes, and requests for the rest.

/** Asks for JSON. An error has a sentence for the reader. */
export async function get(path) {
  let answer;
  try {
    answer = await fetch(path, { headers: { accept: "application/json" } });
  } catch {
    throw new Error("Seequel does not answer. It may have ended.");
  }
  return read(answer);
}

/** Cancels a query. */
export async function cancel(id) {
  return read(await fetch(`/api/v1/queries/${encodeURIComponent(id)}/cancel`, { method: "POST" }));
}

async function read(answer) {
  if (answer.status === 401) throw new Error("This dashboard asks for its token. Open the link that was shown when it started.");
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.error ?? `Seequel answered ${answer.status}.`);
  return value;
}

/** Calls `changed` with each snapshot, and `connected` with whether the stream is open. Reconnects by itself. */
export function listen(changed, connected) {
  let events;
  const open = () => {
    events = new EventSource("/api/v1/events");
    events.addEventListener("open", () => connected(true));
    events.addEventListener("snapshot", (event) => changed(JSON.parse(event.data)));
    events.addEventListener("error", () => {
      connected(false);
      // A refused stream is not tried again by the browser.
      if (events.readyState === EventSource.CLOSED) setTimeout(open, 3000);
    });
  };
  open();
  // A hidden page costs nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) events.close();
    else if (events.readyState === EventSource.CLOSED) open();
  });
}
