// The page of `heliograph serve`. What comes from devices is put in as text and as addresses of this server only.
"use strict";

const devices = new Map(); // name -> {section, facts, health, pictures: Map of name -> figure}
const connection = document.getElementById("connection");
const empty = document.getElementById("empty");

function element(kind, parent, className) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (parent) parent.append(made);
  return made;
}

function size(bytes) {
  return bytes < 10000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(0)} kB`;
}

function deviceOf(name) {
  if (!devices.has(name)) {
    const section = element("section");
    section.dataset.device = name;
    const heading = element("h2", section);
    heading.textContent = name;
    const line = element("p", section, "facts");
    const health = element("span", line, "health");
    const facts = element("span", line);
    const shelf = element("div", section, "pictures");
    devices.set(name, { section, health, facts, shelf, pictures: new Map() });
    const sorted = [...devices.keys()].sort();
    const after = sorted[sorted.indexOf(name) + 1];
    document.getElementById("devices").insertBefore(section, after === undefined ? null : devices.get(after).section);
    empty.hidden = true;
  }
  return devices.get(name);
}

function address(kind, told, suffix) {
  const name = told.name.replace(/\.helio$/, "");
  return `/${kind}/${encodeURIComponent(told.device)}/${encodeURIComponent(name)}.${suffix}`;
}

function makeFigure(device, told) {
  const figure = element("figure");
  figure.dataset.name = told.name;
  const picture = element("img", figure);
  picture.alt = "";
  const arriving = element("progress", figure);
  const caption = element("figcaption", figure);
  const text = element("div", caption);
  const error = element("div", caption, "error");
  const links = element("div", caption);
  for (const [label, kind, suffix] of [["stream", "stream", "helio"], ["picture", "picture", "png"]]) {
    const link = element("a", links);
    link.textContent = label;
    link.href = address(kind, told, suffix);
    link.download = "";
    links.append(" ");
  }
  Object.assign(figure, { picture, arriving, text, error });
  device.pictures.set(told.name, figure);
  return figure;
}

// The latest to arrive stands first, whatever time its name claims.
function place(device, figure, changed) {
  if (figure.dataset.changed === String(changed)) return;
  figure.dataset.changed = changed;
  const others = [...device.shelf.children].filter((other) => other !== figure);
  device.shelf.insertBefore(figure, others.find((other) => Number(other.dataset.changed) <= changed) || null);
}

function showPicture(told) {
  const device = deviceOf(told.device);
  const figure = device.pictures.get(told.name) || makeFigure(device, told);
  place(device, figure, told.changed);
  const version = String(told.version);
  if (told.version && figure.dataset.version !== version) {
    figure.picture.src = `${address("view", told, "jpg")}?version=${version}`;
    figure.dataset.version = version;
  }
  if (told.width) {
    figure.picture.width = told.width;
    figure.picture.height = told.height;
  }
  figure.dataset.whole = told.whole;
  figure.dataset.held = told.held;
  figure.arriving.hidden = told.whole;
  figure.arriving.max = told.bytes || 1;
  figure.arriving.value = told.held;
  const parts = [new Date(1000 * told.changed).toLocaleString()];
  if (told.width) parts.push(`${told.width}×${told.height}`, `quality ${told.quality}`);
  parts.push(told.whole ? size(told.bytes) : `${told.held} of ${told.bytes || "?"} bytes`);
  if (told.depth) parts.push(`depth ${told.depth}${told.missing ? ", its reference has not come yet" : ""}`);
  if (told.alone > told.bytes) parts.push(`saved about ${size(told.alone - told.bytes)}`);
  if (told.state) parts.push(told.state);
  figure.text.textContent = parts.join(", ");
  figure.text.title = told.reference ? `refers to picture ${told.reference}` : "";
  figure.error.textContent = told.whole || told.version ? told.error : "";
}

function showDevice(told) {
  const device = deviceOf(told.device);
  device.health.className = `health ${told.health}`;
  device.health.textContent = told.health;
  const failed = told.failed ? `, ${told.failed} cannot be decoded` : "";
  const last = new Date(1000 * told.last).toLocaleString();
  device.facts.textContent = `, ${told.bytes_per_second} bytes/s, ${told.pictures} pictures${failed}, last ${last}`;
}

function forget(told) {
  const device = devices.get(told.device);
  const figure = device && device.pictures.get(told.name);
  if (figure) {
    figure.remove();
    device.pictures.delete(told.name);
  }
}

const source = new EventSource("/events");
source.addEventListener("start", () => {
  connection.textContent = "live";
  document.getElementById("devices").replaceChildren();
  devices.clear();
  empty.hidden = false;
});
source.addEventListener("error", () => {
  connection.textContent = "not connected";
});
for (const [what, show] of [["picture", showPicture], ["device", showDevice], ["gone", forget]]) {
  source.addEventListener(what, (event) => show(JSON.parse(event.data)));
}
