// Bytes in and out, by peer and over time, and what lies on disk.
import { byId, bytes, count, empty, fill, h, widthOf } from './dom.js';

const kept = 90; // samples
const samples = []; // {at, sent, received}

export function drawTraffic({ status, peers }) {
  const tiles = [['Sent', bytes(status.bytes_sent)], ['Received', bytes(status.bytes_received)], ['Disk', bytes(status.disk_bytes)], ['Records', count(status.records)],
    ['Connected peers', count(status.peers)], ['Refused', count(status.rejected_records + status.rejected_blobs + status.refused_peers)]];
  fill(byId('totals'), tiles.map(([k, v]) => h('div', {}, h('dt', {}, k), h('dd', {}, v))));
  const most = Math.max(1, ...peers.map((p) => p.bytes_sent + p.bytes_received));
  const busy = peers.filter((p) => p.connected).toSorted((a, b) => b.bytes_sent + b.bytes_received - a.bytes_sent - a.bytes_received).slice(0, 12);
  fill(byId('by-peer'), busy.length ? busy.map((p) => h('div', { class: 'peer-row' }, h('span', {}, p.name || '-'),
    h('div', { class: 'bar thin' }, h('span', { class: 'f0', 'data-share': p.bytes_sent / most }), h('span', { class: 'f2', 'data-share': p.bytes_received / most })),
    h('small', {}, `${bytes(p.bytes_sent)} sent, ${bytes(p.bytes_received)} received`))) : empty('No peer is connected.'));
  for (const e of byId('by-peer').querySelectorAll('[data-share]')) e.style.width = `${100 * e.dataset.share}%`;
  drawProtocols(status.protocols);
  samples.push({ at: Date.now(), sent: status.bytes_sent, received: status.bytes_received });
  if (samples.length > kept) samples.shift();
  drawRates();
}

function drawProtocols(protocols) {
  const most = Math.max(1, ...protocols.map((p) => p.bytes_sent + p.bytes_received));
  fill(byId('by-protocol'), protocols.length ? protocols.map((p) => h('div', { class: 'peer-row' }, h('span', {}, p.protocol),
    h('div', { class: 'bar thin' }, h('span', { class: 'f0', 'data-share': p.bytes_sent / most }), h('span', { class: 'f2', 'data-share': p.bytes_received / most })),
    h('small', {}, `${bytes(p.bytes_sent)} sent, ${bytes(p.bytes_received)} received`))) : empty('Nothing was sent or received yet.'));
  for (const e of byId('by-protocol').querySelectorAll('[data-share]')) e.style.width = `${100 * e.dataset.share}%`;
}

function drawRates() {
  if (samples.length < 3) return fill(byId('rates'));
  const width = widthOf(byId('rates')), height = 70;
  const rate = (key) => samples.slice(1).map((s, i) => Math.max(0, (s[key] - samples[i][key]) / Math.max(0.2, (s.at - samples[i].at) / 1000)));
  const sent = rate('sent'), received = rate('received');
  const most = Math.max(1024, ...sent, ...received);
  const line = (values, c) => h('polyline', { class: `line ${c}`, points: values.map((v, i) => `${((width * i) / (values.length - 1)).toFixed(1)},${(height - 4 - ((height - 8) * v) / most).toFixed(1)}`).join(' ') });
  const span = Math.round((samples.at(-1).at - samples[0].at) / 1000);
  fill(byId('rates'), h('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Bytes a second while this page is open' },
    h('line', { class: 'grid', x1: 0, x2: width, y1: height - 4, y2: height - 4 }), line(sent, 's0'), line(received, 's2')),
  h('div', { class: 'legend' }, h('span', {}, h('i', { class: 'f0' }), 'sent'), h('span', {}, h('i', { class: 'f2' }), 'received'), h('span', {}, `last ${span} s, up to ${bytes(most)} a second`)));
}
