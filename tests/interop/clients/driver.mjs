// What the Node drivers share: reads a job from stdin, runs its scenarios, prints one JSON document. `driver.py` describes
// both, `answers.py` the rules by which questions are answered, `moves.py` what each move gives. It judges nothing.
//
// A library is `{newClient(job, asked), transport(target), version(client), call(client, step, options)}` and, where it has
// them, `watching`, `level`, `task` of its own; `lacks` names what a server may ask and it has no word for, and `only` the
// steps that it can do if they are not all.
import { readFileSync } from 'node:fs';

export const ABLE = { elicitation: { form: {} }, sampling: {}, roots: {} };
const MODEL = 'interop-model';
const ROOTS = [
  { uri: 'file:///interop/one', name: 'one' },
  { uri: 'file:///interop/two', name: 'two' },
];
const FORMATS = { email: 'person@example.com', uri: 'https://example.com/person', date: '2026-01-02' };

function field(name, schema, message, ordinal) {
  if (name === 'name') return `person ${ordinal}`;
  const options = schema.enum ?? schema.oneOf?.map(option => option.const);
  if (options) return options.at(-1);
  if (schema.type === 'boolean') return schema.default ?? true;
  if (schema.type === 'integer' || schema.type === 'number') {
    const low = schema.minimum ?? 1;
    return low + ([...message].length % Math.trunc((schema.maximum ?? 9) - low + 1));
  }
  if (schema.type === 'array') return [(schema.items.enum ?? schema.items.anyOf.map(option => option.const)).at(-1)];
  return FORMATS[schema.format] ?? `${name} to ${message}`;
}

class Asked {
  waiting = [];
  kinds = new Set();

  constructor(able) {
    this.able = able;
  }

  begin(action) {
    this.action = action;
    this.log = [];
    this.said = [];
    this.heard = [];
  }

  hear(kind, uri) {
    this.heard.push([kind, uri ?? null]);
    for (const wake of this.waiting.splice(0)) wake();
  }

  note(entry) {
    this.log.push(entry);
    this.kinds.add(entry.kind);
    for (const wake of this.waiting.splice(0)) wake();
    return this.log.filter(other => other.kind === entry.kind).length;
  }

  elicitation(params) {
    const ordinal = this.note({ kind: 'elicitation', message: params.message });
    if (this.action !== 'accept') return { action: this.action };
    const properties = Object.entries(params.requestedSchema.properties);
    const content = properties.map(([name, schema]) => [name, field(name, schema, params.message, ordinal)]);
    return { action: 'accept', content: Object.fromEntries(content) };
  }

  sampling(params) {
    const content = params.messages.at(-1).content;
    const text = `sampled: ${(Array.isArray(content) ? content[0] : content).text}`;
    this.note({ kind: 'sampling', message: text });
    return { role: 'assistant', model: MODEL, content: { type: 'text', text }, stopReason: 'endTurn' };
  }

  roots() {
    this.note({ kind: 'roots' });
    return { roots: ROOTS };
  }

  async until(kind, seconds) {
    await this.waitFor(() => this.kinds.has(kind), seconds);
  }

  async untilHeard(kind, uri, seconds) {
    return this.waitFor(() => this.heard.some(([k, u]) => k === kind && u === uri), seconds);
  }

  async waitFor(done, seconds) {
    const end = Date.now() + seconds * 1000;
    while (!done() && Date.now() < end) {
      const asked = new Promise(resolve => this.waiting.push(resolve));
      await Promise.race([asked, pause(end - Date.now())]);
    }
    return done();
  }
}

function pause(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}

function failure(error) {
  return { failed: error?.constructor?.name ?? typeof error, code: error?.code ?? null, message: String(error?.message ?? error) };
}

function told(result) {
  return {
    error: result.isError ?? false,
    content: result.content.map(block => (block.type === 'text' ? block.text : block.type)),
    structured: result.structuredContent ?? null,
  };
}

async function oneCall(library, client, step) {
  const seen = [];
  const options = step.progress
    ? { onprogress: p => seen.push([p.progress, p.total ?? null, p.message ?? null]) }
    : undefined;
  let outcome;
  try {
    const result = await library.call(client, step, options);
    if (result.lacks) return result;
    outcome = told(result);
  } catch (error) {
    outcome = failure(error);
  }
  return step.progress ? { ...outcome, progress: seen } : outcome;
}

const TRIES = 5;
const TRY_SECONDS = 2;
const LISTS = {
  'prompts/list_changed': async client => (await client.listPrompts()).prompts,
  'resources/list_changed': async client => (await client.listResources()).resources,
};

// A legacy client cannot know when the stream that carries changes is open, so it tries a few times.
export async function watchingSession(client, uri, work) {
  if (uri) await client.subscribeResource({ uri });
  await work(TRIES);
  if (uri) await client.unsubscribeResource({ uri });
}

// What each gives is said in `moves.py`.
const MOVES = {
  async level(library, client, asked, step) {
    if (library.level) await library.level(client, step.level);
    else await client.setLoggingLevel(step.level);
    return null;
  },

  async cancel(library, client, asked, step) {
    const stop = new AbortController();
    let started = false;
    let answered = false;
    const onprogress = () => {
      started = true;
      stop.abort();
    };
    try {
      await library.call(client, step, { signal: stop.signal, onprogress });
      answered = true;
    } catch (error) {
      if (!started) throw error;
    }
    return { started, answered };
  },

  async complete(library, client, asked, step) {
    const context = step.context ? { context: { arguments: step.context } } : {};
    return (await client.complete({ ref: step.ref, argument: step.argument, ...context })).completion.values;
  },

  async pages(library, client, asked, step) {
    const uris = [];
    let cursor;
    let count = 0;
    do {
      const result = await client.listResources(cursor === undefined ? {} : { cursor });
      uris.push(...result.resources.map(resource => resource.uri).filter(uri => uri.startsWith(step.prefix)));
      cursor = result.nextCursor;
      count += 1;
    } while (cursor !== undefined && count < step.most);
    return { uris, ended: cursor === undefined };
  },

  async watch(library, client, asked, step) {
    const { kind, uri = null } = step;
    const results = [];
    let heard = false;
    const watching = library.watching ?? ((_, __, uri, work) => watchingSession(client, uri, work));
    await watching(client, kind, uri, async tries => {
      for (let n = 0; n < tries && !heard; n += 1) {
        for (const call of step.calls) results.push(await oneCall(library, client, call));
        heard = await asked.untilHeard(kind, uri, tries > 1 ? TRY_SECONDS : TRIES * TRY_SECONDS);
      }
    });
    const found = kind in LISTS ? (await LISTS[kind](client)).map(entry => entry.name) : null;
    const failed = results.filter(result => result.failed || result.error);
    return { heard, failed, has: found === null || found.includes(step.name) };
  },

  async task(library, client, asked, step) {
    return library.task ? library.task(client, step) : { lacks: 'tasks' };
  },
};

async function oneStep(library, client, asked, step) {
  if (library.only && !library.only.includes(step.op)) return { lacks: step.op };
  if (step.op === 'list') {
    const { tools } = await client.listTools();
    const shape = tool => ({ description: tool.description ?? null, inputSchema: tool.inputSchema });
    return Object.fromEntries(tools.map(tool => [tool.name, shape(tool)]));
  }
  if (step.op === 'until_asked') return (await asked.until(step.kind, step.seconds)) ?? null;
  if (step.op === 'call') return oneCall(library, client, step);
  if (step.op === 'together') return Promise.all(step.calls.map(call => oneCall(library, client, call)));
  return MOVES[step.op](library, client, asked, step).catch(failure);
}

// Every message that a transport brings passes `deliver(take, ...message)`.
export function intercepted(pipe, deliver) {
  let take;
  const passing = (...message) => deliver(take, ...message);
  Object.defineProperty(pipe, 'onmessage', { get: () => take && passing, set: handler => void (take = handler) });
  return pipe;
}

// Of two lines that one read brings, the library takes an answer at once and a notification a moment later, and by then has
// forgotten who wanted it: the last progress of a call would be lost now and then. Each message has its turn here.
export function inTurn() {
  let last = Promise.resolve();
  return (take, ...message) => {
    last = last.then(() => {
      take(...message);
      return new Promise(done => setImmediate(done));
    });
  };
}

async function within(job, what, work) {
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`no ${what} within ${job.seconds} s`)), job.seconds * 1000),
  );
  return Promise.race([work, late]);
}

async function oneScenario(library, job, client, asked, scenario) {
  console.error(`--- ${scenario.name}`);
  asked.begin(scenario.action ?? 'accept');
  const outcome = { steps: [], asked: asked.log, version: library.version(client) };
  const lacks = scenario.needs.find(need => library.lacks?.includes(need));
  if (lacks) return { ...outcome, steps: [{ lacks }], said: [] };
  const steps = async () => {
    for (const step of scenario.steps) outcome.steps.push(await oneStep(library, client, asked, step));
  };
  try {
    await within(job, 'answer', steps());
  } catch (error) {
    console.error(error);
    outcome.failed = failure(error);
  }
  outcome.said = asked.said;
  // What arrives after the end of a scenario must not change what is reported.
  return structuredClone(outcome);
}

// Connects and takes scenarios from the front of `waiting`: one over HTTP, all over a command until one fails.
async function onOneConnection(library, job, waiting, results) {
  const able = scenario => scenario.able ?? true;
  const asked = new Asked(able(waiting[0]));
  asked.begin('accept');
  const client = library.newClient(job, asked);
  try {
    const { via } = waiting[0];
    const target = via ? { ...job.target, url: job.target.routes[via] } : job.target;
    await within(job, 'connection', client.connect(library.transport(target, client)));
    while (waiting.length > 0 && able(waiting[0]) === asked.able && Date.now() < job.end) {
      const scenario = waiting.shift();
      results[scenario.name] = await oneScenario(library, job, client, asked, scenario);
      if (job.target.url || results[scenario.name].failed) break;
    }
  } catch (error) {
    console.error(error);
    results[waiting.shift().name] = { steps: [], failed: failure(error) };
  }
  await Promise.race([client.close().catch(error => console.error(error)), pause(5000)]);
}

export async function main(library) {
  const job = JSON.parse(readFileSync(0, 'utf8'));
  job.end = Date.now() + job.budget * 1000;
  const waiting = [...job.scenarios];
  const results = {};
  while (waiting.length > 0 && Date.now() < job.end) await onOneConnection(library, job, waiting, results);
  for (const { name } of waiting) results[name] = { steps: [], failed: 'the time for this pair was over' };
  process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit(0));
}
