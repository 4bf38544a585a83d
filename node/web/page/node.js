// What the page knows of the node: its answers, and its events as they come.

/** An error with the advice that came with it. */
export class Failure extends Error {
  constructor(status, { error, advice } = {}) {
    super(error || `the node answered with status ${status}`);
    this.status = status;
    this.advice = advice || '';
  }
}

/** Makes a request and gives its JSON. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', ...options });
  } catch {
    throw new Failure(0, { error: 'The node does not answer.', advice: 'See whether it still runs with: mlecs status' });
  }
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Failure(response.status, body);
  return body;
}

/** Exchanges the code of a login link for a session. The code leaves the address bar first. */
export async function login() {
  const code = /^#login=(\w+)$/.exec(location.hash)?.[1];
  if (!code) return;
  history.replaceState(null, '', location.pathname);
  await ask('/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code }) });
}

/** Calls each for every event, and state with true or false as the connection comes and goes. */
export function follow(each, state) {
  const source = new EventSource('/v1/events');
  source.onopen = () => state(true);
  source.onerror = () => state(false);
  source.onmessage = (m) => each(JSON.parse(m.data));
  return source;
}
