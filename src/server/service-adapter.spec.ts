import { get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { ServiceAdapter } from './service-adapter';

describe('ServiceAdapter', () => {
  it('creates requests and responses with the prototypes that Express sets', async () => {
    const adapter = new ServiceAdapter();
    adapter.initHttpServer();
    const server = adapter.getHttpServer() as Server;
    const created: unknown[] = [];
    const handled: unknown[] = [];
    server.prependListener('request', (...pair) => created.push(...pair.map(Object.getPrototypeOf)));
    adapter.get('/', (request: object, response: { json: (body: object) => void }) => {
      handled.push(Object.getPrototypeOf(request), Object.getPrototypeOf(response));
      response.json({ ip: (request as { ip: string }).ip });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const [answer] = (await once(
        get(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
        'response',
      )) as [AsyncIterable<Buffer>];
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      expect(JSON.parse(Buffer.concat(chunks).toString())).toEqual({ ip: '127.0.0.1' });
    } finally {
      server.close();
    }
    expect(created).toHaveLength(2);
    expect(created[0]).toBe(handled[0]);
    expect(created[1]).toBe(handled[1]);
  });
});
