// Learning curves: how this node scores with the federation and alone, and every edge's private loss.
import { byId, byName, empty, fill, h, rows, whenOpen, widthOf } from './dom.js';

const height = 200, left = 38, right = 18, top = 12, bottom = 26; // pixels

/** The least of 1, 2, 2.5 and 5 times a power of ten that divides range into at most five parts. */
function tick(range) {
  const power = 10 ** Math.floor(Math.log10(range / 5));
  return [1, 2, 2.5, 5, 10].map((f) => f * power).find((t) => range / t <= 5.001);
}

/** A chart of lines {name, class, points: [[x, y]], dashed}; what is on the axes is told by label. */
function chart(width, lines, label, high) {
  const points = lines.flatMap((l) => l.points);
  const lastX = Math.max(1, ...points.map((p) => p[0])), firstX = Math.min(...points.map((p) => p[0]), lastX - 1);
  high ||= Math.max(...points.map((p) => p[1])) * 1.08 || 1;
  const x = (v) => left + ((width - left - right) * (v - firstX)) / (lastX - firstX);
  const y = (v) => height - bottom - ((height - top - bottom) * v) / high;
  const svg = h('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
  const step = tick(high);
  for (let v = 0; v <= high * 1.001; v += step) {
    svg.append(h('line', { class: 'grid', x1: left, x2: width - right, y1: y(v), y2: y(v) }),
      h('text', { x: left - 6, y: y(v) + 4, 'text-anchor': 'end' }, v.toFixed(Math.max(0, Math.ceil(-Math.log10(step) + 0.2)))));
  }
  const every = Math.max(1, Math.ceil((lastX - firstX) / 10));
  for (let v = Math.ceil(firstX); v <= lastX; v += every) svg.append(h('text', { x: x(v), y: height - 8, 'text-anchor': 'middle' }, String(v)));
  for (const l of lines) {
    const at = l.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`);
    svg.append(h('polyline', { class: `line ${l.class.replace('f', 's')} ${l.dashed ? 'dashed' : ''}`, points: at.join(' ') }));
    if (!l.dashed && l.points.length <= 40) {
      for (const [a, b] of l.points) svg.append(h('circle', { class: l.class, cx: x(a), cy: y(b), r: 3 }, h('title', {}, `${l.name}, round ${a}: ${b.toFixed(3)}`)));
    }
  }
  return h('div', {}, svg, h('div', { class: 'legend' }, h('span', {}, label), lines.map((l) => h('span', {}, h('i', { class: l.class }), l.name))));
}

export function drawCurves({ scores }) {
  const measures = [['rouge_lsum', 'Rouge-LSum by round'], ['exact_match', 'Exact match by round']];
  if (!scores.together.length) {
    fill(byId('curves'), empty(scores.test_rows ? 'No round is scored yet.' : 'This node has no test rows of its own, so that nothing is scored.'));
    fill(byId('scores'));
    return;
  }
  const lastRound = Math.max(...[...scores.together, ...scores.standalone].map((s) => s.round), 1);
  fill(byId('curves'), measures.map(([key, label]) => {
    const lines = [{ name: 'together', class: 'f0', points: scores.together.map((s) => [s.round, s[key]]) }];
    if (scores.standalone.length) lines.push({ name: 'alone', class: 'f1', points: scores.standalone.map((s) => [s.round, s[key]]) });
    if (scores.constant) lines.push({ name: 'best constant answer', class: 'f7', dashed: true, points: [[0, scores.constant[key]], [lastRound, scores.constant[key]]] });
    return chart(widthOf(byId('curves')), lines, label, 1);
  }));
  whenOpen(byId('scores'), () => drawScores(scores));
}

function drawScores(scores) {
  const alone = new Map(scores.standalone.map((s) => [s.round, s]));
  fill(byId('scores'), ...rows(['round', 'Rouge-LSum together', 'alone', 'exact match together', 'alone'], [0, 1, 2, 3, 4],
    scores.together.map((s) => {
      const a = alone.get(s.round);
      return [String(s.round), s.rouge_lsum.toFixed(3), a ? a.rouge_lsum.toFixed(3) : '-', s.exact_match.toFixed(3), a ? a.exact_match.toFixed(3) : '-'];
    })));
}

export function drawLosses({ deltas }, colourOf) {
  const byAuthor = new Map();
  for (const d of deltas) {
    if (d.metrics?.amt_lm === undefined) continue;
    if (!byAuthor.has(d.author)) byAuthor.set(d.author, { name: d.author_name, class: `f${colourOf(d.author)}`, points: [] });
    byAuthor.get(d.author).points.push([d.round, d.metrics.amt_lm]);
  }
  if (!byAuthor.size) return fill(byId('losses'), empty('No delta has come yet.'));
  const lines = [...byAuthor.values()].sort((a, b) => byName(a.name, b.name));
  fill(byId('losses'), chart(widthOf(byId('losses')), lines.slice(0, 24), lines.length > 24 ? `24 of ${lines.length} edges, loss by round` : 'Loss by round'));
}
