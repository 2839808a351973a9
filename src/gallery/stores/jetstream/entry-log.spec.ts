import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { collectGarbage } from '../../../../test/support/collect-garbage';
import { describeWithNats, NatsCluster } from '../../../../test/support/nats-cluster';
import { selfSigned } from '../../../../test/support/self-signed';
import { TcpProxy } from '../../../../test/support/tcp-proxy';
import { tempFolders } from '../../../../test/support/temp-folder';
import { type Entry, EntryLog, type EntryLogOptions, EntryTooLarge, RevisionConflict } from './entry-log';
import { EntrySealer } from './entry-sealer';

const STREAM = 'LIKENESS_likeness';
const KEY = 'k'.repeat(32);
const bytes = (text: string) => Buffer.from(text);

/** A replica: its log and the entries read from it. */
interface Replica {
  log: EntryLog;
  entries: Map<string, string>;
  revisions: number[];
  lost: unknown[];
}

describeWithNats(EntryLog.name, () => {
  const tempFolder = tempFolders();
  const opened: EntryLog[] = [];
  let cluster: NatsCluster;

  beforeAll(async () => {
    cluster = await NatsCluster.start();
  });

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((log) => log.close()));
    await withManager((manager) => manager.streams.delete(STREAM)).catch(() => undefined);
  });

  afterAll(() => cluster?.stop());

  async function openReplica(options: Partial<EntryLogOptions> = {}): Promise<Replica> {
    const [entries, revisions, lost]: [Map<string, string>, number[], unknown[]] = [new Map(), [], []];
    const onEntry = ({ key, revision, value }: Entry) => {
      revisions.push(revision);
      if (value) entries.set(key, Buffer.from(value).toString());
      else entries.delete(key);
    };
    const log = await EntryLog.open({
      servers: cluster.servers,
      replicas: 1,
      timeoutMs: 5000,
      onEntry,
      onLost: (cause) => lost.push(cause),
      ...options,
    });
    opened.push(log);
    await log.follow();
    return { log, entries, revisions, lost };
  }

  async function withManager<T>(
    use: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>,
    servers = cluster.servers,
  ): Promise<T> {
    const connection = await connect({ servers });
    try {
      return await use(await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  }

  const messageCount = () => withManager(async (m) => (await m.streams.info(STREAM)).state.messages);

  it('gives every write to every replica, in order and once, and what was there to one that comes later', async () => {
    const [a, b] = [await openReplica(), await openReplica()];
    const first = await a.log.write('s.1', bytes('one'));
    const second = await b.log.write('s.2', bytes('two'));
    const third = await a.log.write('s.1', bytes('three'), first);
    expect(await b.log.waitFor(third.revision)).toBe(true);
    expect(b.revisions).toEqual([first.revision, second.revision, third.revision]);
    const progress = jest.fn();
    const c = await openReplica({ onProgress: progress });
    expect(Object.fromEntries(c.entries)).toEqual({ 's.1': 'three', 's.2': 'two' });
    expect(c.log.revision).toBe(third.revision);
    expect(progress).toHaveBeenLastCalledWith({ done: 3, total: 3 });
  });

  it('refuses a write over another version than the last, and changes nothing', async () => {
    const { log, entries } = await openReplica();
    const first = await log.write('s.1', bytes('one'));
    const second = await log.write('s.1', bytes('two'), first);
    await expect(log.write('s.1', bytes('x'))).rejects.toThrow(RevisionConflict);
    await expect(log.write('s.1', bytes('x'), first)).rejects.toThrow(RevisionConflict);
    await expect(log.write('s.1', null, first)).rejects.toThrow(RevisionConflict);
    await expect(log.write('s.2', bytes('x'), first)).rejects.toThrow(RevisionConflict);
    await log.waitFor(second.revision);
    expect(Object.fromEntries(entries)).toEqual({ 's.1': 'two' });
    expect(await log.read('s.1')).toMatchObject({ ...second, value: expect.anything() as unknown });
  });

  it('lets one of many writers of the same version through', async () => {
    const replicas = [await openReplica(), await openReplica()];
    const writes = Array.from({ length: 20 }, (_, i) => replicas[i % 2].log.write('s.1', bytes(String(i))));
    const outcomes = await Promise.allSettled(writes);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(19);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(RevisionConflict);
  });

  it('takes an entry of the largest size, and refuses one more byte', async () => {
    const { log } = await openReplica();
    await log.write('s.1', Buffer.alloc(log.maxValueBytes, 1));
    await expect(log.write('s.2', Buffer.alloc(log.maxValueBytes + 1, 1))).rejects.toThrow(EntryTooLarge);
  });

  it('tells every replica of a removal, and makes an entry again over its marker', async () => {
    const [a, b] = [await openReplica(), await openReplica()];
    const made = await a.log.write('s.1', bytes('one'));
    const marker = await a.log.write('s.1', null, made);
    await a.log.erase('s.1', marker, made);
    await b.log.waitFor(marker.revision);
    expect(b.entries.size).toBe(0);
    await expect(b.log.write('s.1', bytes('two'))).rejects.toThrow(RevisionConflict);
    const again = await b.log.write('s.1', bytes('two'), marker);
    await a.log.waitFor(again.revision);
    expect(Object.fromEntries(a.entries)).toEqual({ 's.1': 'two' });
  });

  it('leaves no byte of an erased entry in the folder of the server', async () => {
    const { log } = await openReplica();
    const secret = 'a-face-that-is-to-be-forgotten';
    const version = await log.write('s.1', bytes(secret));
    const next = await log.write('s.1', bytes(`${secret}-again`), version);
    for (let i = 0; i < 50; i++) await log.write(`s.other${i}`, bytes('other'));
    expect(await occurrences(secret)).toBe(2);
    const marker = await log.write('s.1', null, next);
    await log.erase('s.1', marker, next);
    expect(await occurrences(secret)).toBe(0);
  });

  it('erases what a process left behind when the next one starts', async () => {
    const { log } = await openReplica();
    const versions = [await log.write('s.1', bytes('old-version'))];
    for (const text of ['old-version', 'last'])
      versions.push(await log.write('s.1', bytes(text), versions.at(-1)));
    expect(await messageCount()).toBe(3);
    const next = await openReplica();
    await next.log.close();
    expect(await messageCount()).toBe(1);
    expect(await occurrences('old-version')).toBe(0);
    expect(await log.read('s.1')).toMatchObject(versions[2]);
  });

  it('finds out that a write was made whose answer never came', async () => {
    const proxy = await TcpProxy.start(portOf(cluster.servers[0]));
    try {
      const cutOff = await openReplica({ servers: [`127.0.0.1:${proxy.port}`] });
      proxy.holdAnswers();
      const write = cutOff.log.write('s.1', bytes('one'));
      await delay(200);
      proxy.cut();
      const version = await write;
      expect(await cutOff.log.waitFor(version.revision)).toBe(true);
      expect(cutOff.revisions).toEqual([version.revision]);
    } finally {
      await proxy.stop();
    }
  });

  it('finds out that a write was made that another replica has replaced and erased meanwhile', async () => {
    const proxy = await TcpProxy.start(portOf(cluster.servers[0]));
    try {
      const other = await openReplica();
      const cutOff = await openReplica({ servers: [`127.0.0.1:${proxy.port}`] });
      proxy.holdAnswers();
      const write = cutOff.log.write('s.1', bytes('one'));
      await delay(200);
      const made = await other.log.read('s.1');
      const next = await other.log.write('s.1', bytes('two'), made);
      await other.log.erase('s.1', next, made);
      proxy.cut();
      const version = await write;
      expect(version.revision).toBe(next.revision);
      await cutOff.log.waitFor(version.revision);
      expect(Object.fromEntries(cutOff.entries)).toEqual({ 's.1': 'two' });
    } finally {
      await proxy.stop();
    }
  });

  it('says that nobody can tell, where a write was sent and no server answers in time', async () => {
    const proxy = await TcpProxy.start(portOf(cluster.servers[0]));
    try {
      const { log } = await openReplica({ servers: [`127.0.0.1:${proxy.port}`], timeoutMs: 1000 });
      proxy.holdAnswers();
      await expect(log.write('s.1', bytes('one'))).rejects.toMatchObject({
        code: 'GALLERY_CHANGE_UNCERTAIN',
      });
    } finally {
      await proxy.stop();
    }
  });

  it('keeps nothing of a write that was answered', async () => {
    const { log } = await openReplica();
    const publish = jest.spyOn(log['jetstream'], 'publish');
    const answers: WeakRef<object>[] = [];
    for (let i = 0; i < 3; i++) {
      await log.write(`key-${i}`, Buffer.from('value'));
      answers.push(new WeakRef((await publish.mock.results[i].value) as object));
    }
    publish.mockRestore();
    await collectGarbage();
    expect(answers.map((answer) => answer.deref())).toEqual([undefined, undefined, undefined]);
  });

  it('goes on after a restart of the server: stale meanwhile, writes refused, nothing missed or repeated', async () => {
    const [a, b] = [await openReplica(), await openReplica()];
    const first = await a.log.write('s.1', bytes('one'));
    await b.log.waitFor(first.revision);
    expect(b.log.staleSince).toBeNull();
    await cluster.kill(0);
    await until(() => a.log.staleSince != null && b.log.staleSince != null);
    await expect(a.log.write('s.2', bytes('x'))).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
    await cluster.restart(0);
    await until(() => a.log.staleSince == null && b.log.staleSince == null);
    const second = await a.log.write('s.1', bytes('two'), first);
    expect(await b.log.waitFor(second.revision)).toBe(true);
    expect(b.revisions).toEqual([first.revision, second.revision]);
  });

  it('reads and writes no more where the stream is not the one that was read', async () => {
    const { log, lost } = await openReplica();
    await log.write('s.1', bytes('one'));
    await withManager(async (manager) => {
      const { config } = await manager.streams.info(STREAM);
      await manager.streams.delete(STREAM);
      await manager.streams.add(config);
    });
    await until(() => lost.length > 0);
    await expect(log.write('s.2', bytes('x'))).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
  });

  it('reads and writes no more where the stream was cut and is longer again than what was read', async () => {
    const { log, lost, revisions } = await openReplica();
    await log.write('s.1', bytes('one'));
    const second = await log.write('s.2', bytes('two'));
    await log.waitFor(second.revision);
    await withManager(async (manager) => {
      const { config } = await manager.streams.info(STREAM);
      await manager.streams.delete(STREAM);
      await manager.streams.add(config);
      const stream = manager.jetstream();
      for (const value of ['a', 'b', 'c', 'd'])
        await stream.publish(`likeness.likeness.${value}`, bytes(value));
    });
    await until(() => lost.length > 0);
    expect(revisions.slice(0, 2)).toEqual([1, 2]);
    await expect(log.write('s.3', bytes('x'))).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
  });

  it('refuses a stream that would drop messages by itself', async () => {
    await withManager((manager) =>
      manager.streams.add({ name: STREAM, subjects: ['likeness.likeness.>'], max_msgs: 5 }),
    );
    await expect(openReplica()).rejects.toMatchObject({
      code: 'GALLERY_STORE_INVALID',
      message: expect.stringContaining('max_msgs') as unknown,
    });
  });

  it.each<[string, Partial<EntryLogOptions>, string]>([
    ['no servers', { servers: [] }, 'FACE_GALLERY_NATS_SERVERS'],
    ['servers that do not answer', { servers: ['127.0.0.1:1'], timeoutMs: 200 }, 'no answer'],
    ['a namespace that is no name', { namespace: 'a.b' }, 'namespace'],
    ['more copies than a single server has', { replicas: 3 }, 'FACE_GALLERY_NATS_REPLICAS'],
    ['a certificate without its key', { certFile: 'cert.pem' }, 'FACE_GALLERY_NATS_KEY_FILE'],
    ['a file that is not there', { caFile: 'absent.pem' }, 'FACE_GALLERY_NATS_CA_FILE'],
    ['two kinds of credentials', { user: 'a', token: 'b' }, 'one of'],
  ])('refuses %s', async (_name, options, message) => {
    await expect(openReplica(options)).rejects.toMatchObject({
      code: 'GALLERY_STORE_INVALID',
      message: expect.stringContaining(message) as unknown,
    });
  });

  it('keeps two namespaces apart', async () => {
    const [a, b] = [await openReplica(), await openReplica({ namespace: 'second' })];
    await a.log.write('s.1', bytes('one'));
    await b.log.write('s.1', bytes('two'));
    expect(Object.fromEntries((await openReplica()).entries)).toEqual({ 's.1': 'one' });
    await withManager((manager) => manager.streams.delete('LIKENESS_second'));
  });

  it('connects with TLS and a password, and refuses a wrong password and an unknown authority', async () => {
    const dir = tempFolder();
    const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
    const certificate = selfSigned();
    writeFileSync(cert, certificate.cert);
    writeFileSync(key, certificate.key);
    const config = `authorization { user: likeness, password: secret }\ntls { cert_file: "${cert}", key_file: "${key}" }`;
    const secure = await NatsCluster.start({
      config,
      client: { user: 'likeness', pass: 'secret', tls: { ca: certificate.cert } },
    });
    const given = {
      servers: secure.servers,
      user: 'likeness',
      password: 'secret',
      caFile: cert,
      timeoutMs: 1000,
    };
    try {
      const { log } = await openReplica(given);
      await log.write('s.1', bytes('one'));
      await expect(openReplica({ ...given, password: 'wrong' })).rejects.toMatchObject({
        code: 'GALLERY_STORE_INVALID',
        message: expect.stringContaining('credentials') as unknown,
      });
      await expect(openReplica({ ...given, caFile: null })).rejects.toMatchObject({
        code: 'GALLERY_STORE_INVALID',
        message: expect.stringContaining('FACE_GALLERY_NATS_CA_FILE') as unknown,
      });
    } finally {
      await Promise.all(opened.splice(0).map((log) => log.close()));
      await secure.stop();
    }
  });

  describe(EntrySealer.name, () => {
    it('opens with the key of the stream and no other, also when two replicas begin at once', async () => {
      const logs = await Promise.all([openReplica(), openReplica(), openReplica()]);
      const sealers = await Promise.all(logs.map(({ log }) => EntrySealer.open(log, KEY)));
      const sealed = sealers[0].seal('s.1', bytes('face'));
      for (const sealer of sealers) {
        expect(sealer.unseal('s.1', sealed)?.toString()).toBe('face');
        expect(sealer.nameOf('gallery', 'José')).toBe(sealers[0].nameOf('gallery', 'José'));
      }
      for (const key of ['x'.repeat(32), 'short', null])
        await expect(EntrySealer.open(logs[0].log, key)).rejects.toMatchObject({
          code: 'GALLERY_STORE_INVALID',
        });
    });

    it('does not open what is damaged, cut, or sealed for another entry', async () => {
      const { log } = await openReplica();
      const sealer = await EntrySealer.open(log, KEY);
      const sealed = sealer.seal('s.1', bytes('face'));
      expect(sealer.unseal('s.2', sealed)).toBeUndefined();
      for (let i = 0; i < sealed.length; i++) {
        const damaged = Buffer.from(sealed);
        damaged[i] ^= 1;
        expect(sealer.unseal('s.1', damaged)).toBeUndefined();
        expect(sealer.unseal('s.1', sealed.subarray(0, i))).toBeUndefined();
      }
    });

    it('makes names that are keys of the stream and differ where ids or their nesting do', async () => {
      const { log } = await openReplica();
      const sealer = await EntrySealer.open(log, KEY);
      const names = [
        ['a'],
        ['b'],
        ['a', 'b'],
        ['a,b'],
        ['a', 'b', ''],
        ['a".b'],
        ['é'],
        ['e\u0301'],
        ['x'.repeat(256)],
      ];
      const made = names.map((ids) => sealer.nameOf(...ids));
      expect(new Set(made).size).toBe(names.length);
      for (const name of made) expect(name).toMatch(/^[A-Za-z0-9_-]{22}$/);
    });

    it('takes another key of the operator and leaves nothing under the old one', async () => {
      const { log } = await openReplica();
      const sealer = await EntrySealer.open(log, KEY);
      const sealed = sealer.seal('s.1', bytes('face'));
      await sealer.rekey(log, 'n'.repeat(32));
      await expect(EntrySealer.open(log, KEY)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
      const renewed = await EntrySealer.open(log, 'n'.repeat(32));
      expect(renewed.unseal('s.1', sealed)?.toString()).toBe('face');
      expect(await messageCount()).toBe(1);
    });
  });

  /** Counts a text in the files of the first server, after it has flushed its buffers. */
  async function occurrences(text: string): Promise<number> {
    await delay(300);
    const files = readdirSync(cluster.dirs[0], { recursive: true, withFileTypes: true });
    const contents = files
      .filter((file) => file.isFile())
      .map((file) => readFileSync(join(file.parentPath, file.name), 'latin1'));
    return contents.reduce((count, content) => count + content.split(text).length - 1, 0);
  }
});

function portOf(server: string): number {
  return Number(server.split(':').at(-1));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(20);
}
