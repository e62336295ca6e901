// The page of `heliograph serve`. What comes from devices is put in as text and as addresses of this server only.
"use strict";

const devices = new Map(); // name -> {section, facts, health, pictures: Map of name -> figure}
const connection = document.getElementById("connection");
const empty = document.getElementById("empty");
const SOON = 300; // milliseconds between two questions while there is news
const LATE = 3000; // the longest, after some without
const PATIENCE = 20000; // for an answer: a machine that slept has connections that nobody holds at the other end

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
  return `${kind}/${encodeURIComponent(told.device)}/${encodeURIComponent(name)}.${suffix}`;
}

function makeFigure(device, told) {
  const figure = element("figure");
  figure.dataset.name = told.name;
  const picture = element("img", figure);
  picture.alt = "";
  picture.addEventListener("error", () => setTimeout(() => showView(figure), LATE));
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

// The latest to arrive stands first, whatever time its name claims: [when it came, in what order of those at one time].
function place(device, figure, order) {
  if (String(figure.order) === String(order)) return;
  figure.order = order;
  const isBefore = (other) => other !== figure && (other.order[0] - order[0] || other.order[1] - order[1]) <= 0;
  device.shelf.insertBefore(figure, [...device.shelf.children].find(isBefore) || null);
}

// The address is that of these pixels alone: a browser shows again what it has of an address.
function showView(figure) {
  if (figure.view) figure.picture.src = figure.view;
  else figure.picture.removeAttribute("src");
}

function time(seconds) {
  return new Date(1000 * seconds).toLocaleString();
}

function times(told) {
  if (told.taken === null) return `came ${time(told.changed)}`;
  const year = new Date(1000 * told.taken).getUTCFullYear();
  const doubt = year < 2020 ? " by a clock that was not set" : told.taken > told.changed + 120 ? " by a clock that is ahead" : "";
  return `taken ${time(told.taken)}${doubt}, came ${time(told.changed)}`;
}

function showPicture(told) {
  const device = deviceOf(told.device);
  const figure = device.pictures.get(told.name) || makeFigure(device, told);
  place(device, figure, told.order);
  const view = told.view && `${address("view", told, "jpg")}?view=${told.view}`;
  if (figure.view !== view) {
    figure.view = view;
    figure.dataset.version = told.version;
    showView(figure);
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
  const parts = [times(told)];
  if (told.width) parts.push(`${told.width}×${told.height}`, `quality ${told.quality}`);
  parts.push(told.whole ? size(told.bytes) : `${told.held} of ${told.bytes || "?"} bytes`);
  if (told.depth) parts.push(`depth ${told.depth}${told.missing ? ", its reference has not come yet" : ""}`);
  if (told.alone > told.bytes) parts.push(`saved about ${size(told.alone - told.bytes)}`);
  if (told.state) parts.push(told.state);
  figure.text.textContent = parts.join(", ");
  figure.text.title = told.reference ? `refers to picture ${told.reference}` : "";
  figure.error.textContent = told.whole || told.view ? told.error : "";
}

function showDevice(told) {
  const device = deviceOf(told.device);
  device.health.className = `health ${told.health}`;
  device.health.textContent = told.health;
  const failed = told.failed ? `, ${told.failed} cannot be decoded` : "";
  device.facts.textContent = `, ${told.bytes_per_second} bytes/s, ${told.pictures} pictures${failed}, last ${time(told.last)}`;
}

function forget(told) {
  const device = devices.get(told.device);
  const figure = device && device.pictures.get(told.name);
  if (figure) {
    figure.remove();
    device.pictures.delete(told.name);
  }
}

const show = { picture: showPicture, device: showDevice, gone: forget };
let after = ""; // where the server said that we stand
let pause = SOON;
let timer = 0;
let isAsking = false;

function reasonOf(error) {
  if (error instanceof SyntaxError) return "something else answers here";
  return error.message && error.name === "Error" ? error.message : "no answer";
}

async function news() {
  const cut = new AbortController();
  const end = setTimeout(() => cut.abort(), PATIENCE);
  try {
    const answer = await fetch(`news?after=${after}`, { cache: "no-store", signal: cut.signal });
    if (answer.status === 401) throw new Error("a token is needed: open the address that heliograph serve printed");
    if (!answer.ok) throw new Error(`the answer is ${answer.status}`);
    return await answer.json();
  } finally {
    clearTimeout(end);
  }
}

// Asks what is new, and again after a pause, whatever came of it; not while nobody sees it.
async function ask() {
  clearTimeout(timer);
  if (isAsking || (document.hidden && after)) return;
  isAsking = true;
  try {
    const told = await news();
    if (told.anew) {
      document.getElementById("devices").replaceChildren();
      devices.clear();
      empty.hidden = false;
    }
    for (const [what, fields] of told.news) show[what](fields);
    after = told.at;
    connection.textContent = "live";
    pause = told.news.length ? SOON : Math.min(1.5 * pause, LATE);
  } catch (error) {
    connection.textContent = `not connected: ${reasonOf(error)}`;
    pause = Math.min(2 * pause, LATE);
  }
  isAsking = false;
  timer = setTimeout(ask, pause);
}

for (const event of ["online", "pageshow"]) window.addEventListener(event, ask);
document.addEventListener("visibilitychange", ask);
ask();
