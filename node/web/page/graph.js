// The gossip graph as this node sees it: itself in the middle, super-peers around it, edges outside. Positions depend on the members only,
// so that nothing jumps.
import { byId, byName, bytes, fill, h, rows, short, whenOpen, widthOf } from './dom.js';

const places = new Map(); // peer id -> {x, y}

/** Colours by modality, in order of their names. */
const colours = (modalities) => new Map([...modalities].sort().map((m, i) => [m, i % 8]));

export function drawGraph({ status, peers, deltas }) {
  const modalities = new Map(deltas.map((d) => [d.author, d.modalities]));
  modalities.set(status.peer_id, status.modalities);
  const colour = colours(new Set([...modalities.values()].flat()));
  const known = peers.filter((p) => p.role);
  const width = widthOf(byId('graph')), height = known.length > 12 ? Math.min(width, 460) : 270;
  const centre = { x: width / 2, y: height / 2 };
  const self = { peer_id: status.peer_id, name: status.name, role: status.role, connected: true };
  places.clear();
  places.set(self.peer_id, centre);
  const supers = known.filter((p) => p.role === 'super'), edges = known.filter((p) => p.role !== 'super');
  const few = edges.length <= 8; // then there is room at the top for super-peers between them
  const gap = few && supers.length === 1 ? 0.5 : 0;
  ring(supers, centre, few ? 0.75 : 0.45, (i) => i / supers.length);
  ring(edges, centre, 0.84, (i) => (i + 0.5 + gap) / (edges.length + 2 * gap));
  const size = known.length > 40 ? 8 : known.length > 16 ? 11 : 15;
  const svg = h('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${status.name} and ${known.length} other members, ${known.filter((p) => p.connected).length} connected` });
  for (const p of known.filter((p) => p.connected)) {
    const at = places.get(p.peer_id);
    svg.append(h('line', { class: 'link', x1: centre.x, y1: centre.y, x2: at.x, y2: at.y }));
  }
  svg.append(h('g', { id: 'travels' }));
  for (const p of [...known, self]) svg.append(member(p, p === self ? size + 5 : size, p === self, modalities.get(p.peer_id) || [], colour, known.length <= 40));
  fill(byId('graph'), svg);
  fill(byId('graph-legend'),
    h('span', {}, h('i', { class: 'f1' }), 'super-peer'), h('span', {}, h('i', { class: 'f0' }), 'edge'),
    [...colour].map(([m, i]) => h('span', {}, h('i', { class: `f${(i + 2) % 8}` }), m)));
  whenOpen(byId('peers'), () => drawPeers(peers));
}

function drawPeers(peers) {
  fill(byId('peers'), ...rows(['name', 'role', 'peer id', 'state', 'round trip', 'sent', 'received', 'faults', 'disputed', 'certificate ends'], [4, 5, 6, 7, 8],
    peers.map((p) => [p.name || '-', p.role || '-', short(p.peer_id), (p.connected ? 'connected' : 'away') + (p.gray ? ', graylisted' : ''), p.rtt_ms ? p.rtt_ms.toFixed(1) + ' ms' : '-',
      bytes(p.bytes_sent), bytes(p.bytes_received), p.faults.toFixed(0), String(p.disputed), p.expires ? new Date(p.expires * 1000).toISOString().slice(0, 10) : '-'])));
}

/** Places members on an ellipse, in order of their names; turn tells where, from 0 at the top to 1 once around. */
function ring(members, centre, share, turn) {
  members.sort((a, b) => byName(a.name || a.peer_id, b.name || b.peer_id));
  members.forEach((m, i) => {
    const angle = (turn(i) - 0.25) * 2 * Math.PI;
    places.set(m.peer_id, { x: centre.x + share * (centre.x - 30) * Math.cos(angle), y: centre.y - 6 + share * (centre.y - 18) * Math.sin(angle) });
  });
}

function member(p, r, isSelf, modalities, colour, named) {
  const { x, y } = places.get(p.peer_id);
  const name = p.name || short(p.peer_id);
  const g = h('g', { class: `member ${p.role} ${p.connected ? '' : 'away'} ${p.gray || p.disputed ? 'suspect' : ''}`, transform: `translate(${x} ${y})` },
    h('title', {}, `${name}, ${p.role}${isSelf ? ', this node' : p.connected ? ', connected' : ', away'}${modalities.length ? ': ' + modalities.join(', ') : ''}`),
    h('circle', { class: 'body', r }));
  if (isSelf) g.append(h('circle', { class: 'self', r: r + 3 }));
  modalities.forEach((m, i) => {
    const angle = (-0.75 + (i - (modalities.length - 1) / 2) * 0.28) * Math.PI;
    g.append(h('circle', { class: `f${(colour.get(m) + 2) % 8}`, r: 4, cx: (r + 6) * Math.cos(angle), cy: (r + 6) * Math.sin(angle) }));
  });
  if (named || isSelf) g.append(h('text', { 'text-anchor': 'middle', y: r + 15 }, name));
  return g;
}

/** Lets a dot travel for an event: from its author to this node, or from this node to its peers. */
export function travel(event, { status, peers }) {
  const layer = byId('travels');
  if (!layer || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const move = (from, to) => {
    if (!from || !to) return;
    const dot = h('circle', { class: `travel ${event.kind}`, r: event.kind === 'round' ? 7 : 5 });
    layer.append(dot);
    dot.animate([{ transform: `translate(${from.x}px, ${from.y}px)` }, { transform: `translate(${to.x}px, ${to.y}px)` }], { duration: 900, easing: 'ease-in-out' })
      .finished.finally(() => dot.remove());
  };
  const here = places.get(status.peer_id);
  if (event.peer !== status.peer_id) return move(places.get(event.peer), here);
  for (const p of peers.filter((p) => p.connected)) move(here, places.get(p.peer_id));
}
