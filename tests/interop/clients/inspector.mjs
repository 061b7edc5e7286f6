// Driver for the command line of npm `@modelcontextprotocol/inspector`: one process for each step, over Streamable HTTP. It can
// list and call; a question it cannot be asked, and nothing else of a connection outlives a step. `driver.mjs` has the rest.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { main } from './driver.mjs';

const run = promisify(execFile);
const bin = `${process.env.PORTREEVE_STACK}/node/node_modules/.bin`;
const NOT_AN_ERROR = 5; // its exit code for a tool's own error, which it prints as a result

async function inspect(target, method, ...options) {
  const key = target.bearer ? ['--header', `Authorization: Bearer ${target.bearer}`] : [];
  const [to, kind] = target.command ? [[target.command, ...target.args], 'stdio'] : [[target.url], target.sse ? 'sse' : 'http'];
  const args = ['--cli', ...to, '--transport', kind, ...key, '--method', method, ...options];
  try {
    const { stdout } = await run(process.execPath, [`${bin}/mcp-inspector`, ...args]);
    return JSON.parse(stdout);
  } catch (error) {
    if (error.code === NOT_AN_ERROR && error.stdout) return JSON.parse(error.stdout);
    throw new Error(error.stderr || error.message);
  }
}

// As much of a client as the shared driver needs.
class Inspector {
  async connect(target) {
    this.target = target;
    this.version = (await inspect(target, 'initialize')).protocolVersion;
  }

  async listTools() {
    return inspect(this.target, 'tools/list');
  }

  async close() {}
}

async function call(client, { tool, arguments: given, progress }) {
  if (progress) return { lacks: 'progress' };
  const pairs = Object.entries(given).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const options = pairs.length > 0 ? ['--tool-arg', ...pairs] : [];
  return inspect(client.target, 'tools/call', '--tool-name', tool, ...options);
}

await main({
  newClient: () => new Inspector(),
  transport: target => target,
  version: client => client.version,
  call,
  lacks: ['elicitation', 'sampling', 'roots'],
  only: ['list', 'call', 'together'],
});
