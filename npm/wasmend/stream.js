// Server-sent events as `wasmend serve` sends them, turned into what a live program receives. A connection that was lost comes
// back, and begins with what was missed.

/**
 * @param {string | URL} url
 * @returns {(receive: (event: object) => void, version: () => string) => () => void}
 */
export function eventStream(url, { EventSource = globalThis.EventSource, retry = 500 } = {}) {
  return (receive, version) => {
    if (!EventSource) throw new Error("there is no EventSource here: pass one, or events of another kind");
    let source;
    let timer;
    let closed = false;
    const connect = () => {
      const from = new URL(url, globalThis.location?.href);
      from.searchParams.set("from", version());
      source = new EventSource(from);
      source.onmessage = (message) => {
        const event = JSON.parse(message.data);
        for (const key of ["url", "undo", "module"]) {
          if (event[key]) event[key] = new URL(event[key], from).href;
        }
        receive(event);
      };
      source.onerror = () => {
        // A new connection says which version the program has by now, which the old one's address does not.
        source.close();
        if (!closed) timer = setTimeout(connect, retry);
      };
    };
    connect();
    return () => {
      closed = true;
      clearTimeout(timer);
      source.close();
    };
  };
}
