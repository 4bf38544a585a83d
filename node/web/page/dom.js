// Elements, numbers and names for people. Text is only ever set as text: what records say cannot become markup.

const svgNames = new Set(['svg', 'g', 'circle', 'line', 'path', 'rect', 'text', 'title', 'polyline']);

/** Makes an element of HTML or SVG with attributes (on... are listeners) and children, which are elements or texts. */
export function h(name, attributes = {}, ...children) {
  const e = svgNames.has(name) ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) e.setAttribute(key, value === true ? '' : value);
  }
  e.append(...children.flat().filter((c) => c !== undefined && c !== null && c !== false));
  return e;
}

/** The width in pixels that a drawing in e has. */
export const widthOf = (e) => Math.max(260, e.clientWidth || 520);

/** Lets the browser do what waits, then goes on. */
export const breath = () => new Promise((go) => setTimeout(go));

export const byId = (id) => document.getElementById(id);

/** Replaces what is in an element, unless the same is there already: what has the focus or an open menu stays. */
export function fill(e, ...children) {
  const next = h('div', {}, ...children);
  if (next.innerHTML === e.dataset.shown) return;
  e.dataset.shown = next.innerHTML;
  e.replaceChildren(...next.childNodes);
}

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i && n < 10 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i];
}

export const count = (n) => n.toLocaleString('en');

/** The beginning of a CID, which commands accept, or the end of a peer id, which all begin alike. */
export const short = (id) => (id.startsWith('12D3Koo') ? '…' + id.slice(-6) : id.slice(0, 14) + '…');

export const seconds = (s) => (s >= 90 ? (s / 60).toFixed(1) + ' min' : s.toFixed(s < 10 ? 1 : 0) + ' s');

export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

/** A table with a header; columns listed in right hold numbers. */
export function rows(header, right, body) {
  const cell = (kind, i, v) => h(kind, right.includes(i) ? { class: 'n' } : {}, v);
  return [
    h('thead', {}, h('tr', {}, header.map((v, i) => cell('th', i, v)))),
    h('tbody', {}, body.map((r) => h('tr', {}, r.map((v, i) => cell('td', i, v))))),
  ];
}

export const empty = (text) => h('p', { class: 'empty' }, text);
