import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const ADMIN_KEY = 'a-secret-admin-key';
const DEEPFACE_TOKEN = 'a-secret-deepface-token';
const AUDIT_KEY = 'a secret key of the audit stream, for tests';
const WRONG_KEY = 'a-wrong-key-that-was-sent';
const QUERY_SECRET = 'secret-in-a-query';
const UNKNOWN_PATH = 'unknown-path-of-a-person';
const FILE_NAME = 'passport-of-subject.jpg';
const SUBJECT = 'subject-ada-lovelace';
const BULK_SUBJECT = 'subject-grace-hopper';
const NEW_SUBJECT = 'subject-ada-king';

const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg'));
const dataUri = `data:image/jpeg;base64,${photo.toString('base64')}`;
const newFolder = tempFolders();

interface LogLine {
  level: string;
  context?: string;
  route?: string;
  [field: string]: unknown;
}

describe('the log of a service that was used', () => {
  let output: string;
  let audit: string;
  let lines: LogLine[];
  let embedding: number[];
  const requestId = 'the-request-of-the-test';

  beforeAll(async () => {
    const file = join(newFolder(), 'audit.jsonl');
    const service = await startService({
      // The most that can be asked for.
      LOG_LEVEL: 'verbose',
      ADMIN_KEY,
      DEEPFACE_AUTH_TOKEN: DEEPFACE_TOKEN,
      FACE_AUDIT_FILE: file,
      FACE_AUDIT_KEY: AUDIT_KEY,
    });
    try {
      embedding = await use(service);
    } finally {
      await service.stop();
    }
    output = service.output();
    audit = readFileSync(file, 'utf8');
    lines = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
  });

  /** Calls of every kind, those that fail too; gives an embedding that was answered. */
  async function use({ url }: RunningService): Promise<number[]> {
    const call = (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
      fetch(url + path, {
        method,
        body: body == null || body instanceof FormData ? body : JSON.stringify(body),
        headers:
          body == null || body instanceof FormData
            ? headers
            : { 'content-type': 'application/json', ...headers },
      });
    const upload = () => {
      const form = new FormData();
      form.append('image', new Blob([new Uint8Array(photo)]), FILE_NAME);
      return form;
    };
    const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
    const statuses: number[] = [];
    const expectStatus = async (status: number, answer: Promise<Response>) => {
      statuses.push(status);
      const { status: received } = await answer;
      expect([statuses.length, received]).toEqual([statuses.length, status]);
    };

    const represented = await call('POST', '/v1/represent', upload(), { 'x-request-id': requestId });
    const { faces, contract } = (await represented.json()) as {
      faces: { embedding: number[] }[];
      contract: string;
    };
    const staff = '/v1/galleries/staff';
    await expectStatus(201, call('POST', '/v1/galleries', { id: 'staff' }));
    const references = `${staff}/subjects/${SUBJECT}/references`;
    await expectStatus(
      201,
      call('POST', `${references}?${QUERY_SECRET}=1`, { image: dataUri, enrollmentGate: 'off' }),
    );
    await expectStatus(
      201,
      call('POST', references, {
        embedding: faces[0].embedding.map((x, i) => (i === 0 ? x + 0.01 : x)),
        contract,
      }),
    );
    await expectStatus(
      201,
      call('POST', `${staff}/enroll`, {
        items: [{ subjectId: BULK_SUBJECT, embedding: faces[0].embedding, contract }],
      }),
    );
    await expectStatus(200, call('POST', `${staff}/identify`, { probe: dataUri }));
    await expectStatus(
      200,
      call('POST', `${staff}/subjects/${SUBJECT}/verify`, {
        probe: { embedding: faces[0].embedding, contract },
      }),
    );
    await expectStatus(200, call('GET', `${staff}/subjects?limit=1`));
    await call('GET', `${staff}/subjects?cursor=${QUERY_SECRET}`);
    await expectStatus(404, call('GET', `${staff}/subjects/${UNKNOWN_PATH}`));
    await expectStatus(404, call('GET', `/${UNKNOWN_PATH}?${QUERY_SECRET}`));
    await expectStatus(400, call('POST', '/v1/represent', { image: `${SUBJECT} is no image` }));
    await expectStatus(400, call('POST', '/v1/verify', { [SUBJECT]: FILE_NAME }));
    await expectStatus(401, call('GET', '/admin/galleries/staff/export', undefined, bearer(WRONG_KEY)));
    await expectStatus(200, call('GET', '/admin/galleries/staff/export', undefined, bearer(ADMIN_KEY)));
    await expectStatus(401, call('POST', '/verify', { img1: dataUri, img2: dataUri }, bearer(WRONG_KEY)));
    const deepface = bearer(DEEPFACE_TOKEN);
    await expectStatus(200, call('POST', '/register', { img: dataUri, img_name: FILE_NAME }, deepface));
    await expectStatus(200, call('POST', '/search', { img: dataUri }, deepface));
    await expectStatus(
      200,
      call('POST', `${staff}/subjects/${SUBJECT}/rename`, { newSubjectId: NEW_SUBJECT }),
    );
    await expectStatus(204, call('DELETE', `${staff}/subjects/${NEW_SUBJECT}`));
    for (let i = 0; i < 30; i++) await call('POST', '/verify', {}, bearer(WRONG_KEY));
    return faces[0].embedding;
  }

  it('has a line for each request, with its route and not its path', () => {
    const requests = lines.filter(({ context }) => context === 'Request');
    expect(requests.find((line) => line.requestId === requestId)).toEqual({
      level: 'info',
      time: expect.any(String),
      context: 'Request',
      requestId,
      method: 'POST',
      route: '/v1/represent',
      status: 200,
      durationMs: expect.any(Number),
      timings: expect.objectContaining({ embed: expect.any(Number) }),
      msg: 'request',
    });
    const routes = requests.map(({ route }) => route);
    expect(routes).toEqual(
      expect.arrayContaining(['/v1/galleries/:galleryId/subjects/:subjectId', 'unmatched', '/search']),
    );
    expect(requests.find(({ status }) => status === 404)).toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
  });

  it('has few lines for a burst of refused requests', () => {
    const refused = lines.filter(({ status, route }) => status === 401 && route === 'unmatched');
    expect(refused.map(({ count = 1 }) => count as number).reduce((sum, count) => sum + count, 0)).toBe(32);
    expect(refused.length).toBeLessThan(10);
  });

  const long = (text: string) => text.slice(100, 160);
  it.each<[string, () => string[]]>([
    ['subject ids', () => [SUBJECT, BULK_SUBJECT, NEW_SUBJECT, UNKNOWN_PATH]],
    ['file names', () => [FILE_NAME]],
    ['keys', () => [ADMIN_KEY, DEEPFACE_TOKEN, AUDIT_KEY, WRONG_KEY]],
    ['query strings', () => [QUERY_SECRET]],
    ['images', () => [long(photo.toString('base64')), long(photo.toString('hex')), 'data:image', 'JFIF']],
    ['embeddings', () => embedding.slice(0, 20).map((value) => String(Math.abs(value)).slice(0, 8))],
  ])('has no %s in it, and neither has the audit stream', (_, secrets) => {
    expect(secrets().filter((secret) => output.includes(secret))).toEqual([]);
    expect(secrets().filter((secret) => audit.includes(secret))).toEqual([]);
    // What is looked for is there where it may be: an empty log would pass as well.
    expect([lines.length > 20, audit.split('\n').length > 10]).toEqual([true, true]);
  });
});
