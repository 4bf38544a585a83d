// Questions to the model: files are packed as the API takes rows, a metadata.jsonl and a tar, and sent to this node only.
import { byId, h } from './dom.js';
import { ask } from './node.js';

const maxFile = 64 << 20; // what the node takes
const files = new Map(); // modality -> File
let modalities = [];

export function setModalities(list) { modalities = list; }

/** Makes the form work. */
export function prepare() {
  const drop = byId('drop'), input = byId('files');
  input.addEventListener('change', () => { add(input.files); input.value = ''; });
  for (const kind of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(kind, (e) => {
      e.preventDefault();
      drop.classList.toggle('over', kind === 'dragover');
      if (kind === 'drop') add(e.dataTransfer.files);
    });
  }
  byId('ask').addEventListener('submit', (e) => { e.preventDefault(); submit(); });
}

/** The modality that a file most likely is of: the usual name for its kind, else the first that is free. */
function guess(file) {
  const usual = { png: 'image', jpg: 'image', jpeg: 'image', wav: 'audio', csv: 'sensor' }[file.name.split('.').pop().toLowerCase()];
  return modalities.includes(usual) || !modalities.length ? usual : modalities.find((m) => !files.has(m)) || usual;
}

function add(list) {
  for (const file of list) {
    const modality = guess(file);
    if (!modality) fail(`${file.name} is no png, jpg, wav or csv file.`, '');
    else if (file.size > maxFile) fail(`${file.name} is larger than 64 MiB.`, '');
    else files.set(modality, file);
  }
  showFiles();
}

function showFiles() {
  byId('chosen-files').replaceChildren(...[...files].map(([modality, file]) => {
    const choices = [...new Set([...modalities, modality])];
    const select = h('select', { 'aria-label': `Modality of ${file.name}`, onchange: () => { files.delete(modality); files.set(select.value, file); showFiles(); } },
      choices.map((m) => h('option', { value: m, selected: m === modality }, m)));
    return h('li', {}, preview(file), select, h('span', {}, file.name), h('button', { type: 'button', onclick: () => { files.delete(modality); showFiles(); } }, 'Remove'));
  }));
}

function preview(file) {
  const url = () => URL.createObjectURL(file);
  if (/\.(png|jpe?g)$/i.test(file.name)) return h('img', { alt: '', src: url() });
  if (/\.wav$/i.test(file.name)) return h('audio', { controls: true, src: url() });
  return undefined;
}

async function submit() {
  const text = byId('text').value.trim();
  if (!files.size && !text) return fail('There is nothing to answer.', 'Choose a file, or give a text.');
  const button = byId('ask').querySelector('[type=submit]');
  button.disabled = true;
  byId('answer').replaceChildren(h('p', { class: 'muted' }, 'The model reads …'));
  try {
    const answer = await ask('/v1/generate?strict=true', { method: 'POST', body: await pack(text) });
    byId('answer').replaceChildren(
      h('p', { class: 'big' }, answer.answer || '(an empty answer)'),
      h('dl', {}, ...[['Before learning', answer.untrained || '(an empty answer)'], ['Uses', answer.used.join(', ')],
        ['Model', `${answer.model.base}, ${answer.model.state}, round ${answer.model.round}`]].flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])));
  } catch (e) {
    fail(e.message, e.advice || '');
  } finally {
    button.disabled = false;
  }
}

function fail(error, advice) {
  byId('answer').replaceChildren(h('p', { class: 'problem' }, error), ...(advice ? [h('p', { class: 'advice' }, advice)] : []));
}

/** One row of the chosen files, as multipart/form-data. */
async function pack(text) {
  const row = { id: 'files' };
  const blocks = [];
  for (const [modality, file] of files) {
    const name = `${modality}/file.${file.name.split('.').pop().toLowerCase()}`;
    row[`${modality}_file_name`] = name;
    blocks.push(header(name, file.size), await file.arrayBuffer(), new Uint8Array((512 - (file.size % 512)) % 512));
  }
  if (text) row.text = text;
  blocks.push(new Uint8Array(1024));
  const form = new FormData();
  form.append('rows', new Blob([JSON.stringify(row) + '\n']), 'metadata.jsonl');
  form.append('files', new Blob(blocks), 'files.tar');
  return form;
}

/** The header of a regular file in a tar (POSIX.1-1988, ustar). */
function header(name, size) {
  const block = new Uint8Array(512);
  const put = (at, s) => block.set(new TextEncoder().encode(s), at);
  const octal = (n, digits) => n.toString(8).padStart(digits, '0') + '\0';
  put(0, name);
  put(100, octal(0o600, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(0, 11));
  put(148, '        ');
  put(156, '0');
  put(257, 'ustar\u000000');
  put(148, octal(block.reduce((a, b) => a + b, 0), 6) + ' ');
  return block;
}
