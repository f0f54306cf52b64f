// Server-sent events as `wasmend serve` sends them, turned into what a live program receives. A connection that was lost comes
// back, and begins with what was missed.

/**
 * @param {string | URL} url
 * @returns {(receive: (event: object) => void, version: () => string) => () => void}
 */
export function eventStream(url, { EventSource = globalThis.EventSource, retry = 500 } = {}) {
  return (receive, version) => {
    let stop = () => {};
    let timer;
    let closed = false;
    const connect = () => {
      const from = new URL(url, globalThis.location?.href);
      from.searchParams.set("from", version());
      const hear = (data) => {
        const event = JSON.parse(data);
        for (const key of ["url", "undo", "module"]) {
          if (event[key]) event[key] = new URL(event[key], from).href;
        }
        receive(event);
      };
      const lost = () => {
        // A new connection says which version the program has by now, which the old one's address does not.
        stop();
        if (!closed) timer = setTimeout(connect, retry);
      };
      stop = EventSource ? byEventSource(EventSource, from, hear, lost) : byFetch(from, hear, lost);
    };
    connect();
    return () => {
      closed = true;
      clearTimeout(timer);
      stop();
    };
  };
}

function byEventSource(EventSource, url, hear, lost) {
  const source = new EventSource(url);
  source.onmessage = (message) => hear(message.data);
  source.onerror = lost;
  return () => source.close();
}

/** For Node, which has no EventSource. */
function byFetch(url, hear, lost) {
  const abort = new AbortController();
  const listen = async () => {
    for await (const data of serverEvents(url, abort.signal)) hear(data);
  };
  listen().then(lost, () => abort.signal.aborted || lost());
  return () => abort.abort();
}

/** The data of each server-sent event, until the server ends or the signal does. */
export async function* serverEvents(url, signal) {
  const answer = await fetch(url, { signal });
  let text = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).split("\n").filter((line) => line.startsWith("data:"));
      if (data.length) yield data.map((line) => line.slice(5)).join("\n");
    }
  }
}
