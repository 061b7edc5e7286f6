// Driver for npm `@modelcontextprotocol/client` 2.x: negotiation `legacy`, `auto` or a pinned version, over Streamable
// HTTP, HTTP+SSE or a command. What it shares with the driver of 1.x is in `driver.mjs`.
import { createRequire } from 'node:module';
import { ABLE, inTurn, intercepted, main, watchingSession } from './driver.mjs';

const require = createRequire(`${process.env.PORTREEVE_STACK}/node/`);
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');
const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');

const FILTERS = { 'prompts/list_changed': 'promptsListChanged', 'resources/list_changed': 'resourcesListChanged' };

const modern = client => client.getNegotiatedProtocolVersion() === '2026-07-28';

// The client reports the rounds of questions that it answers during a call as progress of its own making.
function fromServer(progress) {
  return !progress.message?.startsWith('Fulfilling input required by');
}

// A modern client names its log level with each request.
function request(client, step) {
  const meta = client.logLevel ? { _meta: { 'io.modelcontextprotocol/logLevel': client.logLevel } } : {};
  return { name: step.tool, arguments: step.arguments, ...meta };
}

async function call(client, step, options) {
  const { onprogress } = options ?? {};
  const heard = onprogress && { onprogress: progress => fromServer(progress) && onprogress(progress) };
  return client.callTool(request(client, step), options && { ...options, ...heard });
}

async function level(client, name) {
  if (modern(client)) client.logLevel = name;
  else await client.setLoggingLevel(name);
}

// A context in which changes are heard: a listen stream, or a subscription and the session's own stream.
async function watching(client, kind, uri, work) {
  if (!modern(client)) return watchingSession(client, uri, work);
  const filter = uri ? { resourceSubscriptions: [uri] } : { [FILTERS[kind]]: true };
  const subscription = await client.listen(filter);
  await work(1);
  return subscription.close();
}

function transport(target) {
  if (target.command) return intercepted(new StdioClientTransport({ command: target.command, args: target.args }), inTurn());
  const headers = target.bearer ? { Authorization: `Bearer ${target.bearer}` } : {};
  const Transport = target.sse ? SSEClientTransport : StreamableHTTPClientTransport;
  return new Transport(new URL(target.url), { requestInit: { headers } });
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

async function task(client) {
  return client.experimental?.tasks ? { failed: 'this driver does not know the tasks of this library' } : { lacks: 'tasks' };
}

const version = client => client.getNegotiatedProtocolVersion();
await main({ newClient, transport, version, call, level, watching, task });
