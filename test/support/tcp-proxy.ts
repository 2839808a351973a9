import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands between a client and a server on loopback, and can let answers wait or vanish. */
export class TcpProxy {
  private readonly pairs = new Set<readonly [Socket, Socket]>();
  private isHolding = false;

  private constructor(private readonly server: Server) {}

  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new TcpProxy(server);
    server.on('connection', (client) => proxy.join(client, connect(targetPort, '127.0.0.1')));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** From now on nothing comes back from the server; what goes there still arrives. */
  holdAnswers(): void {
    this.isHolding = true;
    for (const [, target] of this.pairs) target.pause();
  }

  /** Drops all connections with the answers that wait, and lets new ones through. */
  cut(): void {
    this.isHolding = false;
    for (const pair of this.pairs) pair.forEach((socket) => socket.destroy());
  }

  async stop(): Promise<void> {
    this.server.close();
    this.cut();
    await once(this.server, 'close');
  }

  private join(client: Socket, target: Socket): void {
    const pair = [client, target] as const;
    this.pairs.add(pair);
    client.pipe(target);
    target.on('data', (data) => client.write(data));
    if (this.isHolding) target.pause();
    for (const [socket, other] of [pair, [target, client] as const]) {
      socket.on('error', () => undefined);
      socket.on('close', () => (this.pairs.delete(pair), other.destroy()));
    }
  }
}
