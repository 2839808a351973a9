import express, { type NextFunction, type Request, type Response } from 'express';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { FaceError } from '../../../errors';
import { capConnections } from './connection-cap';
import type { AppRequest } from './request-id';

describe(capConnections.name, () => {
  let server: Server;
  const clients: Socket[] = [];

  beforeEach(async () => {
    const app = express();
    server = createServer(app);
    const refuse = capConnections(server, 2);
    app.use((request, response, next) => refuse(request as AppRequest, response, next));
    app.use((_request, response) => void response.send('served'));
    app.use((error: FaceError, _request: Request, response: Response, _next: NextFunction) => {
      response.status(error.status).json({ code: error.code, ...error.details });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    server.close();
    await once(server, 'close');
  });

  async function open(): Promise<Socket> {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    clients.push(socket);
    await once(server, 'connection');
    return socket;
  }
  async function ask(socket: Socket, path = '/v1/models'): Promise<string> {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    return String((await once(socket, 'data'))[0]);
  }

  it('answers connections over the cap with a refusal, and closes them', async () => {
    const served = [await open(), await open()];
    const over = await open();
    const ended = once(over, 'end');
    const answer = await ask(over);
    expect(answer).toMatch(/^HTTP\/1.1 503 .*\r\nConnection: close\r\n/s);
    expect(answer).toContain('{"code":"QUEUE_FULL","retryAfterSeconds":2}');
    await ended;
    for (const socket of served) expect(await ask(socket)).toMatch(/^HTTP\/1.1 200 [^]*served$/);
  });

  it('answers health checks over the cap, and serves again when others have left', async () => {
    const served = [await open(), await open()];
    const over = await open();
    const left = once(over, 'close');
    expect(await ask(over, '/health/live')).toMatch(/^HTTP\/1.1 200 .*\r\nConnection: close\r\n/s);
    await left;
    served[0].destroy();
    // The server has seen it once it closes its own side.
    await new Promise<void>((resolve) => {
      const look = () =>
        server.getConnections((_error, count) => (count === 1 ? resolve() : setImmediate(look)));
      look();
    });
    expect(await ask(await open())).toMatch(/^HTTP\/1.1 200 [^]*keep-alive[^]*served$/);
  });

  it('ends connections over the cap that say nothing', async () => {
    const served = [await open(), await open()];
    const silent = await open();
    await once(silent, 'close');
    for (const socket of served) expect(await ask(socket)).toMatch(/^HTTP\/1.1 200 /);
  });
});
