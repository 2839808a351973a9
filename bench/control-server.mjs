import { createServer } from 'node:http';

/*
 * An HTTP server that does nothing else, as a control: its latency in a scenario is what the machine itself adds. Sends its port
 * to its parent.
 */

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"status":"ok"}');
});
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
process.once('disconnect', () => process.exit());
