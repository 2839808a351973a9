import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import dns from 'node:dns';
import { fetchImage, type FetchRules } from './fetch-image';

const PLACE = { field: 'image' };
const bytes = Buffer.from('bytes of an image');

describe('fetchImage', () => {
  let server: Server;
  let origin: string;
  let answer: RequestListener;
  let requests: string[];

  beforeAll(async () => {
    server = createServer((request, response) => {
      requests.push(request.url ?? '');
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    requests = [];
    answer = (_, response) => response.end(bytes);
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const fetch = (url: string, rules: Partial<FetchRules> = {}) =>
    fetchImage({ url: new URL(url) }, PLACE, {
      hosts: [origin],
      maxImageBytes: 100,
      timeoutMs: 5000,
      signal: new AbortController().signal,
      ...rules,
    });
  const refused = (code: string) =>
    expect.objectContaining({ code, details: expect.objectContaining(PLACE) });

  it('gives the bytes from a host that the operator named, wherever it is', async () => {
    expect(await fetch(`http://${origin}/a.jpg?size=1`)).toEqual(bytes);
    expect(requests).toEqual(['/a.jpg?size=1']);
  });

  it.each([
    ['no host is allowed', []],
    ['the host is another', ['photos.example']],
    ['the port is another', ['127.0.0.1:1', '127.0.0.1']],
    ['only subdomains are', ['*.0.0.1']],
  ])('asks nothing where %s', async (_, hosts) => {
    await expect(fetch(`http://${origin}/`, { hosts })).rejects.toEqual(refused('IMAGE_URL_REFUSED'));
    expect(requests).toEqual([]);
  });

  it('asks the named host, private or at another port, where every other host is allowed too', async () => {
    expect(await fetch(`http://${origin}/`, { hosts: ['*', origin] })).toEqual(bytes);
  });

  it('refuses a name of which one address is private, under a rule for subdomains', async () => {
    jest.spyOn(dns, 'lookup').mockImplementation(((_name: string, _options: object, done: Done) =>
      done(null, [
        { address: '93.184.216.34', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ])) as never);
    const { port } = server.address() as AddressInfo;
    await expect(fetch(`http://photos.example:${port}/`, { hosts: [`*.example:${port}`] })).rejects.toEqual(
      refused('IMAGE_URL_REFUSED'),
    );
    expect(dns.lookup).toHaveBeenCalledTimes(1);
    expect(requests).toEqual([]);
  });

  it('follows redirects, and checks each', async () => {
    answer = (request, response) =>
      request.url === '/1' ? response.writeHead(302, { location: '/2' }).end() : response.end(bytes);
    expect(await fetch(`http://${origin}/1`)).toEqual(bytes);

    answer = (_, response) => response.writeHead(307, { location: 'http://169.254.169.254/' }).end();
    await expect(fetch(`http://${origin}/`)).rejects.toEqual(refused('IMAGE_URL_REFUSED'));

    answer = (_, response) => response.writeHead(301, { location: 'file:///etc/passwd' }).end();
    await expect(fetch(`http://${origin}/`)).rejects.toEqual(refused('IMAGE_URL_REFUSED'));
  });

  it('gives up where redirects have no end', async () => {
    answer = (_, response) => response.writeHead(302, { location: '/' }).end();
    await expect(fetch(`http://${origin}/`)).rejects.toEqual(refused('IMAGE_URL_FAILED'));
    expect(requests).toHaveLength(4);
  });

  it.each([['ftp://'], ['http://user:secret@']])('refuses %s', async (prefix) => {
    await expect(fetch(`${prefix}${origin}/`)).rejects.toEqual(refused('IMAGE_URL_REFUSED'));
  });

  it.each<[string, RequestListener]>([
    ['says so', (_, response) => response.writeHead(200, { 'content-length': '101' }).end(Buffer.alloc(101))],
    ['does not say so', (_, response) => response.write(Buffer.alloc(101))],
  ])('stops at the limit where a larger answer %s', async (_, listener) => {
    answer = listener;
    await expect(fetch(`http://${origin}/`)).rejects.toEqual(refused('IMAGE_TOO_LARGE'));
  });

  it.each<[string, RequestListener]>([
    ['another status', (_, response) => response.writeHead(404).end('no')],
    ['less than was promised', (_, response) => void endShort(response)],
    ['a closed connection', (request) => request.socket.destroy()],
  ])('fails on %s', async (_, listener) => {
    answer = listener;
    await expect(fetch(`http://${origin}/`)).rejects.toEqual(refused('IMAGE_URL_FAILED'));
  });

  it('fails where nothing comes in time, and names no address', async () => {
    answer = (_, response) => response.write('a');
    const error = await fetch(`http://${origin}/`, { timeoutMs: 100 }).catch((thrown: Error) => thrown);
    expect(error).toEqual(refused('IMAGE_URL_FAILED'));
    expect((error as Error).message).not.toContain(origin);
  });

  it('says that an empty answer is empty', async () => {
    answer = (_, response) => response.end();
    await expect(fetch(`http://${origin}/`)).rejects.toEqual(refused('IMAGE_EMPTY'));
  });

  it('stops when the client leaves', async () => {
    const client = new AbortController();
    answer = (_, response) => {
      response.write('a');
      client.abort();
    };
    await expect(fetch(`http://${origin}/`, { signal: client.signal })).rejects.toMatchObject({
      code: 'REQUEST_ABORTED',
    });
  });
});

type Done = (error: Error | null, addresses: { address: string; family: number }[]) => void;

function endShort(response: Parameters<RequestListener>[1]): void {
  response.writeHead(200, { 'content-length': '50' });
  response.write('short', () => response.destroy());
}
