// The page: logs in, loads what the node knows, and draws it again when the node tells of something.
import { breath, byId, bytes, clock, h, short } from './dom.js';
import { Failure, ask, follow, login } from './node.js';
import { drawGraph, travel } from './graph.js';
import { drawCurves, drawLosses } from './curves.js';
import { drawLineage, drawRounds } from './rounds.js';
import { drawTraffic } from './traffic.js';
import { prepare, setModalities } from './tryit.js';

// How much history is loaded: as many rounds as have so many inputs together, within bounds.
const history = { rounds: { inputs: 3000, least: 24, most: 60 }, deltas: { inputs: 600, least: 6, most: 24 } };
const again = 3; // newest rounds that are asked for again: late deltas, better aggregates and verdicts come to them
const loggedEvents = 100;
const pollEvery = 3000; // ms; what no event tells: traffic, round trips

const state = { status: null, peers: [], rounds: [], deltas: [], scores: { together: [], standalone: [] } };
let names = new Map();
const colours = new Map();

const nameOf = (id) => names.get(id) || short(id);
/** Authors keep their colour for as long as the page is open. */
function colourOf(id) {
  if (!colours.has(id)) colours.set(id, colours.size % 8);
  return colours.get(id);
}

async function loadStatus() {
  [state.status, state.peers] = await Promise.all([ask('/v1/status'), ask('/v1/peers')]);
  names = new Map(state.peers.map((p) => [p.peer_id, p.name || short(p.peer_id)]));
  names.set(state.status.peer_id, state.status.name);
  drawHeader();
  await breath();
  drawGraph(state);
  await breath();
  drawTraffic(state);
}

/** Gives the list of what is known with the newest rounds of it asked for again, or all of them the first time. */
async function freshened(what, known) {
  const { inputs, least, most } = history[what];
  const kept = Math.min(most, Math.max(least, Math.ceil(inputs / Math.max(1, state.peers.length))));
  const oldest = Math.max(0, (state.status?.round ?? 0) - kept);
  const from = known.length ? Math.max(oldest, known.at(-1).round + 1 - again) : oldest;
  const newest = await ask(`/v1/${what}?from=${from}`);
  return [...known.filter((x) => x.round >= oldest && x.round < from), ...newest];
}

async function loadHistory() {
  state.scores = await ask('/v1/scores');
  state.rounds = await freshened('rounds', state.rounds);
  state.deltas = await freshened('deltas', state.deltas);
  for (const d of state.deltas) if (d.author_name) names.set(d.author, d.author_name);
  await drawHistory();
}

/** Draws everything, each part in a task of its own: between them the browser answers to whoever uses the page. */
async function drawHistory() {
  for (const draw of [drawGraph, drawCurves, (s) => drawLosses(s, colourOf), (s) => drawRounds(s, nameOf, colourOf), (s) => drawLineage(s, nameOf)]) {
    draw(state);
    await breath();
  }
}

function drawHeader() {
  const s = state.status;
  document.title = `${s.name}, mlecs`;
  byId('name').textContent = s.name;
  byId('role').textContent = s.role === 'super' ? 'super-peer' : s.role;
  byId('role').className = `chip ${s.role}`;
  byId('federation').textContent = s.federation_name ? `in ${s.federation_name}` : 'in no federation';
  byId('round').textContent = `Round ${s.round}${s.rounds ? ' of ' + s.rounds : ''}`;
  byId('version').textContent = `mlecs ${s.version}`;
  byId('peer-id').textContent = s.peer_id;
  drawWork(s.phase, s.step_done, s.step_total, s.loss);
  const error = byId('error');
  error.hidden = !s.error;
  error.textContent = s.error || '';
  setModalities(s.modalities);
}

function drawWork(phase, done, total, loss) {
  byId('phase').textContent = phase;
  byId('progress').hidden = !total;
  byId('progress').value = total ? done / total : 0;
  byId('loss').textContent = total && loss ? `loss ${loss.toFixed(3)}` : '';
}

/** Runs f soon, once for several calls, and shows what fails. What takes long in a large federation is done the more rarely. */
function soon(f, wait) {
  let timer = 0, pause = wait;
  return () => {
    timer ||= setTimeout(async () => {
      timer = 0;
      const begun = performance.now();
      await f().catch(lost);
      pause = Math.max(wait, 4 * (performance.now() - begun));
    }, pause);
  };
}
const statusSoon = soon(loadStatus, 300);
const historySoon = soon(async () => { await loadStatus(); await loadHistory(); }, 400);

function lost(e) {
  if (e instanceof Failure && e.status === 401) return lock('This session has ended.');
  live(false);
}

function live(on) {
  const e = byId('live');
  if (on && e.classList.contains('off')) historySoon(); // something may have happened meanwhile
  e.textContent = on ? 'live' : 'no answer';
  e.className = `live ${on ? 'on' : 'off'}`;
}

const said = {
  round: (e) => `round ${e.round} closed by ${e.name || nameOf(e.peer)}, ${bytes(e.bytes)}`,
  delta: (e) => `delta of round ${e.round} by ${e.name || nameOf(e.peer)}, ${bytes(e.bytes)}`,
  peer: (e) => `${e.name || nameOf(e.peer)} ${e.text}`,
};

function each(e) {
  if (e.kind === 'step' || e.kind === 'phase') drawWork(e.text, e.done, e.total, e.loss);
  if (e.kind === 'step') return;
  const item = h('li', { class: e.kind }, h('time', {}, clock(e.time)), h('b', {}, e.kind), h('span', {}, said[e.kind]?.(e) ?? e.text));
  byId('log').prepend(item);
  while (byId('log').children.length > loggedEvents) byId('log').lastChild.remove();
  const old = Date.now() - e.time > 5000; // told again on connecting
  if ((e.kind === 'round' || e.kind === 'delta') && !old) travel(e, state);
  if (e.kind === 'round' || e.kind === 'delta' || (e.kind === 'phase' && !old)) historySoon();
  else statusSoon();
}

/** Shows nothing but how to log in. */
function lock(why) {
  byId('app').hidden = true;
  byId('locked').hidden = false;
  if (why) byId('locked-why').textContent = why;
}

async function start() {
  let refused = '';
  try {
    await login();
  } catch (e) {
    refused = e.message;
  }
  try {
    await loadStatus();
    await loadHistory();
  } catch (e) {
    return lock(e.status === 401 ? refused : e.message);
  }
  byId('app').hidden = false;
  prepare();
  await drawHistory(); // drawings are as wide as their places, which had no width before
  addEventListener('resize', soon(drawHistory, 200));
  follow(each, live);
  setInterval(() => { if (!document.hidden) loadStatus().catch(lost); }, pollEvery);
}

start();
