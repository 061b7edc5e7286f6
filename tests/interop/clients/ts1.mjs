// Driver for npm `@modelcontextprotocol/sdk` 1.x, whichever release `$INTEROP_PACKAGE` names: the legacy era, over Streamable
// HTTP, HTTP+SSE or a command. What it shares with the driver of 2.x is in `driver.mjs`.
import { createRequire } from 'node:module';
import { ABLE, inTurn, intercepted, main } from './driver.mjs';

const require = createRequire(`${process.env.PORTREEVE_STACK}/node/`);
const part = path => require(`${process.env.INTEROP_PACKAGE}/${path}.js`);
const { Client } = part('client/index');
const { SSEClientTransport } = part('client/sse');
const { StdioClientTransport } = part('client/stdio');
const { StreamableHTTPClientTransport } = part('client/streamableHttp');
const types = part('types');

const NOTICES = {
  'resources/updated': types.ResourceUpdatedNotificationSchema,
  'prompts/list_changed': types.PromptListChangedNotificationSchema,
  'resources/list_changed': types.ResourceListChangedNotificationSchema,
};
// The releases before 2025-06-18 have no word for a question to the person.
const lacks = types.ElicitRequestSchema ? [] : ['elicitation'];

function newClient(job, asked) {
  const { elicitation, ...older } = ABLE;
  const able = types.ElicitRequestSchema ? { ...older, elicitation } : older;
  const client = new Client({ name: 'interop-ts1', version: '1.0.0' }, { capabilities: asked.able ? able : {} });
  client.onerror = error => console.error(error);
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => {
    asked.said.push([params.level, params.data]);
  });
  for (const [kind, schema] of Object.entries(NOTICES)) {
    client.setNotificationHandler(schema, message => asked.hear(kind, message.params?.uri));
  }
  if (!asked.able) return client;
  if (!lacks.length) client.setRequestHandler(types.ElicitRequestSchema, request => asked.elicitation(request.params));
  client.setRequestHandler(types.CreateMessageRequestSchema, request => asked.sampling(request.params));
  client.setRequestHandler(types.ListRootsRequestSchema, () => asked.roots());
  return client;
}

function transport(target, client) {
  const headers = target.bearer ? { Authorization: `Bearer ${target.bearer}` } : {};
  const Transport = target.sse ? SSEClientTransport : StreamableHTTPClientTransport;
  const pipe = target.command
    ? new StdioClientTransport({ command: target.command, args: target.args })
    : new Transport(new URL(target.url), { requestInit: { headers } });
  const deliver = target.command ? inTurn() : (take, ...message) => take(...message);
  return intercepted(pipe, (take, message, ...more) => {
    // The library keeps the negotiated revision to itself: it is in the first answer that has one.
    client.interopVersion ??= message.result?.protocolVersion;
    deliver(take, message, ...more);
  });
}

async function call(client, step, options) {
  return client.callTool({ name: step.tool, arguments: step.arguments }, undefined, options);
}

function told(result) {
  const content = result.content.map(block => (block.type === 'text' ? block.text : block.type));
  return { error: result.isError ?? false, content, structured: result.structuredContent ?? null };
}

async function task(client, step) {
  const tasks = client.experimental?.tasks;
  if (!tasks?.callToolStream) return { lacks: 'tasks' };
  const params = { name: step.tool, arguments: step.arguments };
  let started;
  for await (const message of tasks.callToolStream(params, types.CallToolResultSchema, { task: { ttl: 60000 } })) {
    if (message.type === 'taskCreated') {
      started = message.task;
      if (step.then !== 'cancel') continue;
      await tasks.cancelTask(started.taskId);
      return { status: (await tasks.getTask(started.taskId)).status };
    }
    if (message.type === 'error') throw message.error;
    if (message.type === 'result') {
      const { status } = await tasks.getTask(started.taskId);
      return { started: started.status, status, ...told(message.result) };
    }
  }
  throw new Error('the task ended without a result');
}

await main({ newClient, transport, version: client => client.interopVersion, call, task, lacks });
