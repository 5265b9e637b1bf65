// Opens pages in a headless Chromium on a screen of some width, and prints as JSON how wide they are.
//
// node measure.mjs BROWSER PROFILE WIDTH URL...: speaks the DevTools protocol, so that nothing but a
// browser has to be installed.

import { spawn } from "node:child_process";

const [browser, profile, width, ...urls] = process.argv.slice(2);
const options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"];
const chromium = spawn(browser, [...options, `--user-data-dir=${profile}`, "about:blank"]);

const address = await new Promise((resolve) => {
  let output = "";
  chromium.stderr.on("data", (data) => {
    output += data;
    const found = output.match(/ws:\/\/\S+/);
    if (found) resolve(new URL(found[0]));
  });
});
const targets = await (await fetch(`http://${address.host}/json/list`)).json();
const socket = new WebSocket(targets.find((one) => one.type === "page").webSocketDebuggerUrl);
await new Promise((resolve) => (socket.onopen = resolve));

const waiting = new Map();
const complaints = [];
let loaded;
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.method === "Log.entryAdded") complaints.push(message.params.entry.text);
  if (message.method === "Page.loadEventFired") loaded();
  waiting.get(message.id)?.(message.result);
};
let last = 0;
const call = (method, params = {}) =>
  new Promise((resolve) => {
    waiting.set(++last, resolve);
    socket.send(JSON.stringify({ id: last, method, params }));
  });

// Waits for what the page's script makes, opens all of it, and measures.
const MEASURE = `(async () => {
  const root = document.documentElement;
  const paint = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const made = document.getElementById("swagger-ui");
  while (made && !made.querySelector(".opblock")) await paint();
  const calls = document.querySelectorAll(".opblock-summary-control[aria-expanded=false]");
  calls.forEach((one) => one.click());
  while (document.querySelectorAll(".responses-table").length < calls.length) await paint();
  return { title: document.title, opened: calls.length, width: root.scrollWidth, screen: root.clientWidth };
})()`;

await call("Log.enable");
await call("Page.enable");
const screen = { width: Number(width), height: 844, deviceScaleFactor: 1, mobile: true };
await call("Emulation.setDeviceMetricsOverride", screen);
const found = [];
for (const url of urls) {
  const isLoaded = new Promise((resolve) => (loaded = resolve));
  await call("Page.navigate", { url });
  await isLoaded;
  const expression = { expression: MEASURE, awaitPromise: true, returnByValue: true };
  found.push((await call("Runtime.evaluate", expression)).result.value);
}
console.log(JSON.stringify({ pages: found, complaints }));
chromium.kill();
process.exit();
