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

const filled = new WeakMap(); // element -> the markup that it was filled with

/** Replaces what is in an element, unless the same is there already: what has the focus or an open menu stays. Tells whether it did. */
export function fill(e, ...children) {
  const next = h('div', {}, ...children), markup = next.innerHTML;
  if (markup === filled.get(e)) return false;
  filled.set(e, markup);
  e.replaceChildren(...next.childNodes);
  return true;
}

/** Calls draw now if the menu that e is in is open, or whenever it is opened: nothing is drawn that nobody sees. */
export function whenOpen(e, draw) {
  const menu = e.closest('details');
  menu.ontoggle = () => { if (menu.open) draw(); };
  menu.ontoggle();
}

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i && n < 10 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i];
}

// Made once: making them takes longer than using them.
const numbers = new Intl.NumberFormat('en'), times = new Intl.DateTimeFormat([], { timeStyle: 'medium', hour12: false });
const names = new Intl.Collator('en', { numeric: true });

export const count = (n) => numbers.format(n);

export const clock = (ms) => times.format(ms);

/** Orders names, edge-2 before edge-10. */
export const byName = names.compare;

/** The beginning of a CID, which commands accept, or the end of a peer id, which all begin alike. */
export const short = (id) => (id.startsWith('12D3Koo') ? '…' + id.slice(-6) : id.slice(0, 14) + '…');

export const seconds = (s) => (s >= 90 ? (s / 60).toFixed(1) + ' min' : s.toFixed(s < 10 ? 1 : 0) + ' s');

/** A table with a header; columns listed in right hold numbers. */
export function rows(header, right, body) {
  const cell = (kind, i, v) => h(kind, right.includes(i) ? { class: 'n' } : {}, v);
  return [
    h('thead', {}, h('tr', {}, header.map((v, i) => cell('th', i, v)))),
    h('tbody', {}, body.map((r) => h('tr', {}, r.map((v, i) => cell('td', i, v))))),
  ];
}

export const empty = (text) => h('p', { class: 'empty' }, text);
