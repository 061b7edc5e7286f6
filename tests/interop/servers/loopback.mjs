// Preloaded (`node --import`) into servers of others that can only listen on every address: binds what they listen
// on to loopback, on a port of the system's choice where they ask for 0, and says on stdout which one it is.
// It changes nothing else about the server.
import net from 'node:net';

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (port, ...rest) {
  const ready = rest.find(argument => typeof argument === 'function');
  this.once('listening', () => process.stdout.write(`${JSON.stringify({ port: this.address().port })}\n`));
  return listen.call(this, Number(port), '127.0.0.1', ...(ready ? [ready] : []));
};
