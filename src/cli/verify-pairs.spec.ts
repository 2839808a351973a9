import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { tempFolders } from '../../test/support/temp-folder';
import { type PairsFormat, verifyPairs, type VerifyTask } from './verify-pairs';

const ANSWER = {
  verified: true,
  decision: 'match',
  distance: 0.25,
  similarity: 0.75,
  threshold: 0.5,
  falseMatchRate: 1e-6,
};

describe(verifyPairs.name, () => {
  const tempFolder = tempFolders();
  let service: Server;
  let server: string;
  let requests: { running: number; most: number; bodies: string[]; key?: string };
  /** Status and body of the answer to a request; by default, what its photos say. */
  let refuse: (count: number) => [number, object] | null;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    requests.most = Math.max(requests.most, ++requests.running);
    requests.key = request.headers.authorization;
    const body = await text(request);
    requests.bodies.push(body);
    const verified = !body.includes('stranger');
    const [status, json] = refuse(requests.bodies.length) ?? [
      body.includes('no face') ? 422 : 200,
      body.includes('no face')
        ? { error: { code: 'FACE_NOT_DETECTED', message: 'No face.', details: { field: 'reference' } } }
        : { ...ANSWER, verified, requestId: 'r-1' },
    ];
    requests.running--;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  }

  beforeAll(async () => {
    service = createServer((request, response) => void answer(request, response));
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    server = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
  });
  afterAll(() => new Promise((resolve) => service.close(resolve)));

  let stderr: string;
  beforeEach(() => {
    requests = { running: 0, most: 0, bodies: [] };
    refuse = () => null;
    stderr = '';
    jest.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((stderr += String(chunk)), true));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    process.exitCode = undefined;
  });

  const task = { route: '/v1/verify', options: { metric: 'cosine' }, needs: {} } as unknown as VerifyTask;

  async function run(pairs: string, format: PairsFormat = 'csv', concurrency = 2): Promise<string> {
    const folder = tempFolder();
    mkdirSync(join(folder, 'photos'));
    for (const name of ['ada', 'stranger', 'no face'])
      writeFileSync(join(folder, 'photos', `${name}.jpg`), name);
    writeFileSync(join(folder, 'pairs.csv'), pairs);
    const out = join(folder, 'results');
    const options = { pairs: join(folder, 'pairs.csv'), format, out };
    await verifyPairs(options, { server, apiKey: 'k', concurrency }, task);
    return readFileSync(out, 'utf8');
  }

  const PAIRS = [
    'id,probe,reference',
    'same,photos/ada.jpg,photos/ada.jpg',
    '"a, b",photos/ada.jpg,photos/stranger.jpg',
    'none,photos/ada.jpg,photos/no face.jpg',
    'gone,photos/ada.jpg,photos/gone.jpg',
    'half,photos/ada.jpg,',
  ].join('\n');

  it('writes a line of CSV for each pair, in order, with its result or its error', async () => {
    expect((await run(PAIRS)).split('\n')).toEqual([
      'id,probe,reference,verified,decision,distance,similarity,threshold,falseMatchRate,error,errorField',
      'same,photos/ada.jpg,photos/ada.jpg,true,match,0.25,0.75,0.5,0.000001,,',
      '"a, b",photos/ada.jpg,photos/stranger.jpg,false,match,0.25,0.75,0.5,0.000001,,',
      'none,photos/ada.jpg,photos/no face.jpg,,,,,,,FACE_NOT_DETECTED,reference',
      'gone,photos/ada.jpg,photos/gone.jpg,,,,,,,IMAGE_MISSING,reference',
      'half,photos/ada.jpg,,,,,,,,IMAGE_MISSING,reference',
      '',
    ]);
    expect(stderr).toMatch(/5 pairs: 1 verified, 1 not verified, 3 with errors\n$/);
    expect(process.exitCode).toBe(2);
    expect(requests.key).toBe('Bearer k');
    expect(requests.bodies[0]).toContain('name="metric"');
  });

  it('writes JSON lines', async () => {
    const lines = (await run(PAIRS, 'jsonl')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object).slice(1, 3)).toEqual([
      {
        id: 'a, b',
        probe: 'photos/ada.jpg',
        reference: 'photos/stranger.jpg',
        result: { ...ANSWER, verified: false },
      },
      {
        id: 'none',
        probe: 'photos/ada.jpg',
        reference: 'photos/no face.jpg',
        error: {
          code: 'FACE_NOT_DETECTED',
          message: 'No face.',
          details: { field: 'reference', file: 'photos/no face.jpg' },
        },
      },
    ]);
  });

  it('exits with 0 where every pair was compared, and keeps as many requests in progress as it may', async () => {
    const row = 'photos/ada.jpg,photos/stranger.jpg\n';
    await run(`probe,reference\n${row.repeat(40)}`, 'csv', 4);
    expect(stderr).toMatch(/40 pairs: 0 verified, 40 not verified, 0 with errors\n$/);
    expect([requests.bodies.length, process.exitCode]).toEqual([40, undefined]);
    expect(requests.most).toBeLessThanOrEqual(4);
  });

  it('repeats a request that the service is too busy for', async () => {
    const busy = { error: { code: 'QUEUE_FULL', message: 'Full.', details: { retryAfterSeconds: 0 } } };
    refuse = (count) => (count === 1 ? [503, busy] : null);
    expect(await run('probe,reference\nphotos/ada.jpg,photos/ada.jpg')).toContain(',true,match,');
    expect(requests.bodies).toHaveLength(2);
  });

  it('ends where the service refuses every pair, after the results before', async () => {
    const refusal = { error: { code: 'UNAUTHORIZED', message: 'Wrong key.', details: {} } };
    refuse = (count) => (count > 1 ? [401, refusal] : null);
    await expect(run(PAIRS, 'csv', 1)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(requests.bodies).toHaveLength(2);
  });

  it('refuses a file without pairs', async () => {
    await expect(run('probe,reference\n')).rejects.toThrow('has no pairs');
  });
});
