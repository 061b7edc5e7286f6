// A server on npm `@modelcontextprotocol/server` 2.x, over stdio (both eras) or Streamable HTTP (2026-07-28, and older revisions
// without sessions, as the library does it). It asks by input-required results, which the library turns into requests
// where a client needs them. Tools and their answers are those of `py1.py`, without those that only a session can have.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';

const [stack, transport] = process.argv.slice(2);
const require = createRequire(`${stack}/node/`);
const { McpServer, createMcpHandler, inputRequired } = require('@modelcontextprotocol/server');
const { serveStdio } = require('@modelcontextprotocol/server/stdio');
const { z } = require('zod');

const ANSWER = {
  type: 'object',
  properties: {
    answer: { type: 'string' },
    agree: { type: 'boolean' },
    count: { type: 'integer', minimum: 1, maximum: 9 },
  },
  required: ['answer', 'agree', 'count'],
};

const said = result => ({ content: [{ type: 'text', text: String(result) }], structuredContent: { result } });
const value = told => said(JSON.stringify(told));
const question = message => inputRequired.elicit({ message, requestedSchema: ANSWER });
const plain = answer => ({ action: answer.action, content: answer.content ?? null });
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

function asking(server) {
  const token = z.object({ token: z.string() });
  server.registerTool('ask', { description: 'Ask one question that carries the token.', inputSchema: token }, ({ token }, ctx) => {
    const { only } = ctx.mcpReq.inputResponses ?? {};
    if (!only) return inputRequired({ inputRequests: { only: question(`token ${token}?`) } });
    return value({ token, told: plain(only) });
  });
  const twice = 'Ask two questions, the second made from the first answer.';
  server.registerTool('ask_twice', { description: twice, inputSchema: token }, ({ token }, ctx) => {
    const { q } = ctx.mcpReq.inputResponses ?? {};
    if (!q) return inputRequired({ inputRequests: { q: question(`first ${token}?`) }, requestState: 'round 1' });
    const state = ctx.mcpReq.requestState();
    if (state !== 'round 1') return value({ token, first: JSON.parse(state), second: plain(q) });
    const { answer, agree, count } = q.content ?? {};
    // As Python writes it, because the expected question was written so.
    const shown = `{"answer": ${JSON.stringify(answer)}, "agree": ${agree}, "count": ${count}}`;
    const again = question(`second after ${shown}?`);
    return inputRequired({ inputRequests: { q: again }, requestState: JSON.stringify(plain(q)) });
  });
  const both = 'Ask two questions at the same time.';
  server.registerTool('ask_both', { description: both, inputSchema: token }, ({ token }, ctx) => {
    const { left, right } = ctx.mcpReq.inputResponses ?? {};
    if (left && right) return value({ token, left: plain(left), right: plain(right) });
    const inputRequests = { left: question(`left ${token}?`), right: question(`right ${token}?`) };
    return inputRequired({ inputRequests, requestState: 'both' });
  });
  const sample = { description: "Let the client's model answer the prompt.", inputSchema: z.object({ prompt: z.string() }) };
  server.registerTool('sample', sample, ({ prompt }, ctx) => {
    const { model } = ctx.mcpReq.inputResponses ?? {};
    if (model) return value({ model: model.model, text: model.content.text });
    const messages = [{ role: 'user', content: { type: 'text', text: prompt } }];
    return inputRequired({ inputRequests: { model: inputRequired.createMessage({ messages, maxTokens: 64 }) } });
  });
  server.registerTool('roots', { description: "Return the client's roots.", inputSchema: z.object({}) }, (_, ctx) => {
    const { roots } = ctx.mcpReq.inputResponses ?? {};
    if (!roots) return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } });
    return value(roots.roots.map(({ uri, name }) => ({ uri, name })));
  });
}

function make() {
  const server = new McpServer({ name: 'interop-server2', version: '1.0.0' });
  const tool = (name, description, shape, work) => server.registerTool(name, { description, inputSchema: z.object(shape) }, work);
  tool('echo', 'Return the text.', { text: z.string() }, ({ text }) => said(text));
  tool('add', 'Return the sum.', { a: z.number(), b: z.number() }, ({ a, b }) => said(a + b));
  tool('fail', 'Fail with the reason.', { reason: z.string() }, ({ reason }) => {
    throw new Error(reason);
  });
  tool('progress', 'Report each step.', { steps: z.number() }, async ({ steps }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let step = 1; progressToken !== undefined && step <= steps; step += 1) {
      const params = { progressToken, progress: step, total: steps, message: `step ${step}` };
      await ctx.mcpReq.notify({ method: 'notifications/progress', params });
      await pause(20);
    }
    return said(`${steps} steps`);
  });
  tool('slow', 'Answer late.', { milliseconds: z.number() }, async ({ milliseconds }) => {
    await pause(milliseconds);
    return said(`after ${milliseconds} ms`);
  });
  asking(server);
  return server;
}

async function serveHttp() {
  const handler = createMcpHandler(make);
  const http = createServer(async (request, response) => {
    const headers = new Headers(Object.entries(request.headers).map(([name, text]) => [name, String(text)]));
    const body = request.method === 'POST' ? { body: Readable.toWeb(request), duplex: 'half' } : {};
    const stop = new AbortController();
    response.on('close', () => stop.abort());
    const url = `http://${request.headers.host}${request.url}`;
    const answer = await handler.fetch(new Request(url, { method: request.method, headers, signal: stop.signal, ...body }));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (!answer.body) return response.end();
    // The other side may hang up at any moment: that ends the stream and is no failure of this process.
    Readable.fromWeb(answer.body).on('error', () => response.destroy()).pipe(response);
  });
  http.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: http.address().port })));
}

if (transport === 'stdio') serveStdio(make);
else await serveHttp();
