// Driver for npm `@modelcontextprotocol/client` 2.x: negotiation `legacy`, `auto` or a pinned version, over Streamable
// HTTP, HTTP+SSE or a command. Reads a job from stdin and prints one JSON document; `driver.py` describes both, `answers.py` the
// rules by which questions are answered. It judges nothing.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(`${process.env.PORTREEVE_STACK}/node/`);
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');
const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');

const ABLE = { elicitation: { form: {} }, sampling: {}, roots: {} };
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
  if (schema.type === 'boolean') return true;
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

// The client reports the rounds of questions that it answers during a call as progress of its own making.
function fromServer(progress) {
  return !progress.message?.startsWith('Fulfilling input required by');
}

async function oneCall(client, step) {
  const seen = [];
  const options = step.progress
    ? { onprogress: p => fromServer(p) && seen.push([p.progress, p.total ?? null, p.message ?? null]) }
    : undefined;
  let outcome;
  try {
    outcome = told(await client.callTool(request(client, step), options));
  } catch (error) {
    outcome = failure(error);
  }
  return step.progress ? { ...outcome, progress: seen } : outcome;
}

const modern = client => client.getNegotiatedProtocolVersion() === '2026-07-28';

// A modern client names its log level with each request.
function request(client, step) {
  const meta = client.logLevel ? { _meta: { 'io.modelcontextprotocol/logLevel': client.logLevel } } : {};
  return { name: step.tool, arguments: step.arguments, ...meta };
}

const TRIES = 5;
const TRY_SECONDS = 2;
const FILTERS = { 'prompts/list_changed': 'promptsListChanged', 'resources/list_changed': 'resourcesListChanged' };
const LISTS = {
  'prompts/list_changed': async client => (await client.listPrompts()).prompts,
  'resources/list_changed': async client => (await client.listResources()).resources,
};

// A context in which changes are heard: a listen stream, or a subscription and the session's own stream.
async function watching(client, kind, uri, work) {
  if (modern(client)) {
    const filter = uri ? { resourceSubscriptions: [uri] } : { [FILTERS[kind]]: true };
    const subscription = await client.listen(filter);
    await work(1);
    return subscription.close();
  }
  if (uri) await client.subscribeResource({ uri });
  await work(TRIES);
  return uri && client.unsubscribeResource({ uri });
}

// What a library does in its own way; `moves.py` has the same for Python and says what each gives.
const MOVES = {
  async level(client, asked, step) {
    if (modern(client)) client.logLevel = step.level;
    else await client.setLoggingLevel(step.level);
    return null;
  },

  async cancel(client, asked, step) {
    const stop = new AbortController();
    let started = false;
    let answered = false;
    const onprogress = () => {
      started = true;
      stop.abort();
    };
    try {
      await client.callTool(request(client, step), { signal: stop.signal, onprogress });
      answered = true;
    } catch (error) {
      if (!started) throw error;
    }
    return { started, answered };
  },

  async complete(client, asked, step) {
    const context = step.context ? { context: { arguments: step.context } } : {};
    return (await client.complete({ ref: step.ref, argument: step.argument, ...context })).completion.values;
  },

  async pages(client, asked, step) {
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

  async watch(client, asked, step) {
    const { kind, uri = null } = step;
    const results = [];
    let heard = false;
    await watching(client, kind, uri, async tries => {
      for (let n = 0; n < tries && !heard; n += 1) {
        for (const call of step.calls) results.push(await oneCall(client, call));
        heard = await asked.untilHeard(kind, uri, tries > 1 ? TRY_SECONDS : TRIES * TRY_SECONDS);
      }
    });
    const found = kind in LISTS ? (await LISTS[kind](client)).map(entry => entry.name) : null;
    const failed = results.filter(result => result.failed || result.error);
    return { heard, failed, has: found === null || found.includes(step.name) };
  },

  async task(client) {
    return client.experimental?.tasks ? { failed: 'this driver does not know the tasks of this library' } : { lacks: 'tasks' };
  },
};

async function oneStep(client, asked, step) {
  if (step.op === 'list') {
    const { tools } = await client.listTools();
    const shape = tool => ({ description: tool.description ?? null, inputSchema: tool.inputSchema });
    return Object.fromEntries(tools.map(tool => [tool.name, shape(tool)]));
  }
  if (step.op === 'until_asked') return (await asked.until(step.kind, step.seconds)) ?? null;
  if (step.op === 'call') return oneCall(client, step);
  if (step.op === 'together') return Promise.all(step.calls.map(call => oneCall(client, call)));
  return MOVES[step.op](client, asked, step).catch(failure);
}

// Of two lines that one read brings, the library takes an answer at once and a notification a moment later, and by then has
// forgotten who wanted it: the last progress of a call would be lost now and then. Each message has its turn here.
function oneByOne(pipe) {
  let last = Promise.resolve();
  let take;
  const queued = (...message) => {
    last = last.then(() => {
      take(...message);
      return new Promise(done => setImmediate(done));
    });
  };
  Object.defineProperty(pipe, 'onmessage', { get: () => take && queued, set: handler => void (take = handler) });
  return pipe;
}

function transport(target) {
  if (target.command) return oneByOne(new StdioClientTransport({ command: target.command, args: target.args }));
  const headers = target.bearer ? { Authorization: `Bearer ${target.bearer}` } : {};
  const Transport = target.sse ? SSEClientTransport : StreamableHTTPClientTransport;
  return new Transport(new URL(target.url), { requestInit: { headers } });
}

async function within(job, what, work) {
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`no ${what} within ${job.seconds} s`)), job.seconds * 1000),
  );
  return Promise.race([work, late]);
}

function newClient(job, asked) {
  const mode = ['legacy', 'auto'].includes(job.mode) ? job.mode : { pin: job.mode };
  const client = new Client(
    { name: 'interop-ts', version: '1.0.0' },
    { capabilities: asked.able ? ABLE : {}, versionNegotiation: { mode } },
  );
  client.onerror = error => console.error(error);
  client.setNotificationHandler('notifications/message', ({ params }) => void asked.said.push([params.level, params.data]));
  for (const kind of ['resources/updated', ...Object.keys(FILTERS)]) {
    client.setNotificationHandler(`notifications/${kind}`, message => asked.hear(kind, message.params?.uri));
  }
  if (!asked.able) return client;
  client.setRequestHandler('elicitation/create', request => asked.elicitation(request.params));
  client.setRequestHandler('sampling/createMessage', request => asked.sampling(request.params));
  client.setRequestHandler('roots/list', () => asked.roots());
  return client;
}

async function oneScenario(job, client, asked, scenario) {
  console.error(`--- ${scenario.name}`);
  asked.begin(scenario.action ?? 'accept');
  const outcome = { steps: [], asked: asked.log, version: client.getNegotiatedProtocolVersion() };
  const steps = async () => {
    for (const step of scenario.steps) outcome.steps.push(await oneStep(client, asked, step));
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
async function onOneConnection(job, waiting, results) {
  const able = scenario => scenario.able ?? true;
  const asked = new Asked(able(waiting[0]));
  asked.begin('accept');
  const client = newClient(job, asked);
  try {
    const { via } = waiting[0];
    const target = via ? { ...job.target, url: job.target.routes[via] } : job.target;
    await within(job, 'connection', client.connect(transport(target)));
    while (waiting.length > 0 && able(waiting[0]) === asked.able && Date.now() < job.end) {
      const scenario = waiting.shift();
      results[scenario.name] = await oneScenario(job, client, asked, scenario);
      if (job.target.url || results[scenario.name].failed) break;
    }
  } catch (error) {
    console.error(error);
    results[waiting.shift().name] = { steps: [], failed: failure(error) };
  }
  await Promise.race([client.close().catch(error => console.error(error)), pause(5000)]);
}

const job = JSON.parse(readFileSync(0, 'utf8'));
job.end = Date.now() + job.budget * 1000;
const waiting = [...job.scenarios];
const results = {};
while (waiting.length > 0 && Date.now() < job.end) await onOneConnection(job, waiting, results);
for (const { name } of waiting) results[name] = { steps: [], failed: 'the time for this pair was over' };
process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit(0));
