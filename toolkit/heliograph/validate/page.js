"use strict";
(() => {
  const node = document.getElementById("sheets");
  if (!node) return;
  const { sheets, files } = JSON.parse(node.textContent);
  const byId = (id) => document.getElementById(id);
  const sheet = byId("sheet"), left = byId("left"), right = byId("right"), place = byId("place");
  const option = (text, value) => { const o = document.createElement("option"); o.textContent = text; o.value = value; return o; };
  let named = ["jpeg", ""];  // what is shown at the left and at the right: kept where the next picture has it too
  const panel = (select) => sheets[sheet.value].panels[select.value] || sheets[sheet.value].panels[0];

  function move() {
    byId("over").style.clipPath = `inset(0 ${100 - place.value}% 0 0)`;
    byId("edge").style.left = `calc(${place.value}% - 1px)`;
  }
  function show() {
    const a = panel(left), b = panel(right);
    named = [a.name, b.name];
    byId("over").src = files[a.file]; byId("over").alt = a.label;
    byId("under").src = files[b.file]; byId("under").alt = b.label;
    byId("left-caption").textContent = `${a.label}: ${a.caption}`;
    byId("right-caption").textContent = `${b.label}: ${b.caption}`;
  }
  function choose() {
    const panels = sheets[sheet.value].panels;
    [left, right].forEach((select, side) => {
      select.replaceChildren(...panels.map((p, n) => option(p.label, n)));
      const kept = panels.findIndex((p) => p.name === named[side]);
      select.value = kept < 0 ? side : kept;
    });
    byId("compared").style.maxWidth = `${sheets[sheet.value].width}px`;
    const maps = byId("maps");
    byId("why").hidden = sheets[sheet.value].maps.length === 0;
    maps.replaceChildren(...sheets[sheet.value].maps.map((m) => {
      const figure = document.createElement("figure"), image = document.createElement("img"), text = document.createElement("figcaption");
      image.src = files[m.file]; image.alt = m.label; text.textContent = `${m.label}: ${m.caption}`;
      figure.append(image, text);
      return figure;
    }));
    show();
  }
  sheet.replaceChildren(...sheets.map((s, n) => option(s.title, n)));
  sheet.addEventListener("change", choose);
  left.addEventListener("change", show);
  right.addEventListener("change", show);
  place.addEventListener("input", move);
  choose();
  move();
})();
