// What a person sees of errors and refusals: a panel over the page, which goes when the next build succeeds.

const STYLE = `
  :host { all: initial; }
  div { position: fixed; inset: auto 16px 16px 16px; max-height: 60vh; overflow: auto; z-index: 2147483647; padding: 16px 20px;
    background: #1d1f24; color: #e8e8ea; border-left: 4px solid #e5484d; border-radius: 6px; box-shadow: 0 8px 32px #0008;
    font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; }
  div.note { border-color: #f5a524; }
  h1 { margin: 0 0 8px; font: 600 14px/1.4 system-ui, sans-serif; }
  button { float: right; border: 0; background: none; color: inherit; font: 18px/1 system-ui; cursor: pointer; }
`;

/** Shows what goes wrong with a program. Returns a function that ends this. @param {import("./index.js").LiveProgram} program */
export function overlay(program, { document = globalThis.document } = {}) {
  let host;
  const hide = () => {
    host?.remove();
    host = undefined;
  };
  const show = (kind, title, text) => {
    hide();
    host = document.createElement("wasmend-overlay");
    const root = host.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = STYLE;
    const panel = document.createElement("div");
    panel.className = kind;
    panel.setAttribute("role", "alert");
    const close = document.createElement("button");
    close.textContent = "×";
    close.title = "Close";
    close.onclick = hide;
    const heading = document.createElement("h1");
    heading.textContent = title;
    panel.append(close, heading, text);
    root.append(style, panel);
    document.body.append(host);
  };
  const ends = [
    program.on("error", (event) => show("error", "The build failed", event.message)),
    program.on("refused", (event) => {
      const lines = [event.message, event.symbol && `symbol: ${event.symbol}`, event.help];
      show("note", "This change needs a restart", lines.filter(Boolean).join("\n"));
    }),
    program.on("patched", hide),
    program.on("building", (event) => event.building || hide()),
  ];
  return () => {
    hide();
    ends.forEach((end) => end());
  };
}
