// The rounds as a list of bars, and the lineage of the newest adapter as a graph from left to right.
import { byId, byName, bytes, clock, count, empty, fill, h, seconds, short, widthOf } from './dom.js';

const page = 12; // rounds shown at first, and added by the button
let shown = page;
const items = new Map(); // CID of an aggregate -> its item, while it is shown

export function drawRounds(state, nameOf, colourOf) {
  const newest = state.rounds.toReversed(), list = byId('timeline');
  const now = newest.slice(0, shown).map((r) => {
    const said = [...r.inputs, { author: r.leader }].map((i) => nameOf(i.author)).join(); // aggregates do not change, names become known
    const old = items.get(r.aggregate);
    return [r.aggregate, old?.said === said && old.seconds === r.seconds ? old : { said, seconds: r.seconds, item: roundItem(r, nameOf, colourOf) }];
  });
  items.clear();
  for (const [cid, entry] of now) items.set(cid, entry);
  const wanted = now.length ? now.map(([, entry]) => entry.item) : [h('li', { class: 'empty' }, 'No round has closed yet.')];
  if (wanted.length !== list.children.length || wanted.some((item, i) => item !== list.children[i])) list.replaceChildren(...wanted);
  const older = byId('older');
  older.hidden = newest.length <= shown;
  older.onclick = () => { shown += page; drawRounds(state, nameOf, colourOf); };
}

function roundItem(r, nameOf, colourOf) {
  const inputs = r.inputs.toSorted((a, b) => byName(nameOf(a.author), nameOf(b.author)));
  return h('li', {},
    h('div', { class: 'round-head' }, h('span', { class: 'strong' }, `Round ${r.round}`),
      h('span', { class: 'muted' }, `${clock(r.created)}${r.seconds ? ', ' + seconds(r.seconds) : ''}`),
      h('span', { class: 'muted' }, `by ${nameOf(r.leader)}`), h('span', { class: 'muted' }, r.round === 0 ? 'the start' : inputs.length === 1 ? '1 delta' : `${inputs.length} deltas`)),
    inputs.length > 0 && h('div', { class: 'bar' }, inputs.map((i) => {
      const about = `${nameOf(i.author)}, weight ${i.weight.toFixed(3)}: ${i.modalities.join(', ')}`;
      const part = h('span', { class: `f${colourOf(i.author)}`, title: about }, inputs.length <= 10 ? nameOf(i.author) : '');
      part.style.flexGrow = Math.max(i.weight, 0.001); // the content policy allows no style attributes, and styles set by script
      return part;
    })));
}

const column = 104, row = 34, most = 10; // pixels between parts, and deltas a round that are drawn
let chosen = ''; // CID of the part that the user chose

/** Draws what the newest aggregate was made from, some rounds back. */
export function drawLineage(state, nameOf) {
  const box = byId('dag');
  const depth = Math.max(2, Math.floor((widthOf(box) - 90 + column) / (2 * column)));
  const rounds = state.rounds.slice(-depth);
  if (!rounds.length) {
    fill(box, empty('No aggregate has come yet.'));
    return fill(byId('chosen'));
  }
  const deltas = new Map(state.deltas.map((d) => [d.cid, d]));
  const tallest = Math.max(1, ...rounds.map((r) => Math.min(r.inputs.length, most)));
  const height = Math.max(110, tallest * row + 46), middle = (height - 20) / 2;
  const width = rounds.length * column * 2 - column + 90;
  const parts = new Map(); // CID -> what it is
  const flows = h('g'), marks = h('g');
  const svg = h('svg', { width, height, viewBox: `0 0 ${width} ${height}` }, flows, marks);
  const flow = (x1, y1, x2, y2, weight, of) => flows.append(h('path', {
    class: 'flow', 'data-of': of, 'stroke-width': (1 + 6 * weight).toFixed(1), d: `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}` }));
  rounds.forEach((r, i) => {
    const x = 45 + i * column * 2;
    parts.set(r.aggregate, { round: r });
    marks.append(mark('aggregate', r.aggregate, `Aggregate of round ${r.round}`, x, middle, h('rect', { x: -11, y: -11, width: 22, height: 22, rx: 4 }), `round ${r.round}`));
    if (i === 0) return;
    const inputs = r.inputs.toSorted((a, b) => b.weight - a.weight).slice(0, most);
    inputs.forEach((input, j) => {
      const y = middle + (j - (inputs.length - 1) / 2) * row, at = x - column;
      const d = deltas.get(input.delta);
      parts.set(input.delta, { input, delta: d });
      const start = rounds.findIndex((a) => d?.parents.includes(a.aggregate));
      if (start >= 0) flow(45 + start * column * 2 + 11, middle, at - 8, y, 0.05, input.delta);
      flow(at + 8, y, x - 11, middle, input.weight, input.delta);
      marks.append(mark('delta', input.delta, `Delta of round ${d ? d.round : r.round} by ${nameOf(input.author)}`, at, y, h('circle', { r: 8 }), nameOf(input.author)));
    });
    if (r.inputs.length > most) marks.append(h('text', { x: x - column, y: height - 6, 'text-anchor': 'middle' }, `and ${r.inputs.length - most} more`));
  });
  if (fill(box, svg)) {
    box.scrollLeft = box.scrollWidth;
    for (const e of box.querySelectorAll('[role=button]')) {
      const choose = () => { chosen = e.dataset.cid; show(box, parts, nameOf, chosen); };
      e.addEventListener('click', choose);
      e.addEventListener('keydown', (k) => { if (k.key === 'Enter' || k.key === ' ') { k.preventDefault(); choose(); } });
    }
  }
  show(box, parts, nameOf, rounds.at(-1).aggregate);
}

function mark(kind, cid, label, x, y, shape, text) {
  return h('g', { class: kind, role: 'button', tabindex: 0, 'aria-label': label, 'data-cid': cid, transform: `translate(${x} ${y.toFixed(1)})` },
    h('title', {}, label), shape, h('text', { 'text-anchor': 'middle', y: kind === 'delta' ? 20 : 26 }, text));
}

// What the metrics of records mean, with their units; learn/method/meaning.go has the same.
const meanings = {
  amt_lm: 'loss on private rows, nats a token', ccl_soft: 'distance to the super-peer\u2019s answers, nats a token', ccl_contrast: 'contrastive loss on public rows, no unit',
  large_lm: 'large model: loss on public rows, nats a token', large_soft: 'large model: distance to the small models\u2019 answers, nats a token', large_contrast: 'large model: contrastive loss, no unit',
  proxy_lm: 'small model: loss on public rows, nats a token', proxy_soft: 'small model: distance to the large model\u2019s answers, nats a token',
  fit: 'public rows answered exactly, share from 0 to 1', rejected: 'components left out of the mean', transferred: 'components that the large model took over',
  dp_epsilon: 'epsilon of differential privacy, no unit', dp_delta: 'delta of differential privacy, a probability',
};

function metrics(of) {
  const told = Object.entries(of || {});
  return told.length ? h('ul', { class: 'metrics' }, told.map(([name, v]) => {
    const [kind, family] = name.split('/');
    const means = Object.hasOwn(meanings, kind) ? `, ${meanings[kind]}` : '';
    return h('li', {}, `${name} ${v && Math.abs(v) < 0.001 ? v.toExponential(1) : v.toFixed(3)}${means}${family ? `, family ${family}` : ''}`);
  })) : '-';
}

/** Shows the chosen part, or another one if none is chosen. */
function show(box, parts, nameOf, other) {
  const cid = parts.has(chosen) ? chosen : other;
  for (const e of box.querySelectorAll('[data-cid]')) e.classList.toggle('on', e.dataset.cid === cid);
  for (const e of box.querySelectorAll('[data-of]')) e.classList.toggle('on', e.dataset.of === cid);
  const { round, delta, input } = parts.get(cid);
  const facts = round
    ? [['Aggregate', round.aggregate], ['Round', String(round.round)], ['Made by', `${nameOf(round.leader)}, ${clock(round.created)}`], ['Inputs', round.inputs.length === 1 ? '1 delta' : `${round.inputs.length} deltas`], ['Metrics', metrics(round.metrics)]]
    : [['Delta', input.delta], ['Author', nameOf(input.author)], ['Weight', input.weight.toFixed(3)], ['Modalities', input.modalities.join(', ')],
      ...(delta ? [['Made', `round ${delta.round}, ${clock(delta.created)}`], ['Learned from', `${count(delta.rows)} private and ${count(delta.public_rows)} public rows`], ['Size', `${bytes(delta.bytes)}, ${count(delta.params)} parameters in ${delta.components.length} components`], ['Metrics', metrics(delta.metrics)]] : [])];
  fill(byId('chosen'), h('dl', {}, facts.flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])));
}
