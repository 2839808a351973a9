import { createRequire } from 'node:module';
import type * as TorchFile from '../../../../test/support/torch/torch-file.cjs';
import { StateDict } from './state-dict';

// Loaded by Node, because the sandbox of Jest does not load .cjs beside TypeScript.
const {
  MAGIC,
  VERSION,
  system,
  stateDict,
  keyList,
  storage,
  torchFile,
  pickle,
  text,
  int,
  global,
  tuple,
  call,
  op,
} = createRequire(__filename)('../../../../test/support/torch/torch-file.cjs') as typeof TorchFile;

const HEADER = Buffer.concat([MAGIC, VERSION, system(true)]);
const A = { name: 'a', dims: [2, 3], data: [0, 1, 2, 3, 4, 5] };
const COUNT = { name: 'count', dims: [], data: [7], kind: 'long' } as const;

const refuses = (file: Buffer, message: string | RegExp, details = {}) => {
  expect(() => StateDict.parse(file)).toThrow(
    expect.objectContaining({
      code: 'MODEL_IMPORT_FAILED',
      message: expect.stringMatching(message) as string,
      details,
    }),
  );
};

/** A file with one tensor of this description, over a storage of six numbers. */
const described = (description: object, values = [0, 1, 2, 3, 4, 5]) =>
  Buffer.concat([
    HEADER,
    stateDict([{ name: 'a', key: '1', length: 6, dims: [6], ...description }]),
    keyList(['1']),
    storage(values),
  ]);

describe(StateDict.name, () => {
  it('reads tensors by name, offset and strides', () => {
    const weights = StateDict.parse(
      torchFile([
        A,
        { ...A, name: 'turned', dims: [3, 2], strides: [1, 3] },
        { ...A, name: 'part', dims: [2], offset: 2, strides: [3] },
        { ...A, name: 'one', dims: [], offset: 4, strides: [] },
        { ...A, name: 'thin', dims: [1, 2, 1], strides: [9, 2, 0] },
        COUNT,
      ]),
    );
    expect([...weights.floats('a', [2, 3])]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...weights.floats('turned', [3, 2])]).toEqual([0, 3, 1, 4, 2, 5]);
    expect([...weights.floats('part', [2])]).toEqual([2, 5]);
    expect([...weights.floats('one', [])]).toEqual([4]);
    expect([...weights.floats('thin', [1, 2, 1])]).toEqual([0, 2]);
    weights.passOver('count');
    expect(() => weights.assertAllUsed()).not.toThrow();
    expect(weights.byteLength).toBe(5 * 6 * 4 + 8);
  });

  it('leaves out the prefix of a network that was trained on several devices, where all have it', () => {
    const parallel = StateDict.parse(torchFile([{ ...A, name: 'module.a' }]));
    expect([...parallel.floats('a', [2, 3])]).toHaveLength(6);
    const mixed = StateDict.parse(
      torchFile([
        { ...A, name: 'module.a' },
        { ...A, name: 'b' },
      ]),
    );
    expect([...mixed.floats('module.a', [2, 3])]).toHaveLength(6);
  });

  it('reads tensors that share a storage', () => {
    const file = Buffer.concat([
      HEADER,
      stateDict([
        { name: 'a', key: '1', length: 4, dims: [2] },
        { name: 'b', key: '1', length: 4, dims: [2], offset: 2 },
      ]),
      keyList(['1']),
      storage([1, 2, 3, 4]),
    ]);
    expect([...StateDict.parse(file).floats('b', [2])]).toEqual([3, 4]);
  });

  it('refuses what the network does not have', () => {
    const weights = StateDict.parse(torchFile([A, { ...A, name: 'nan', data: [0, 1, 2, 3, NaN, 5] }, COUNT]));
    const code = 'MODEL_IMPORT_FAILED';
    const refused = (message: RegExp, layer: string) =>
      expect.objectContaining({
        code,
        message: expect.stringMatching(message) as string,
        details: { layer },
      }) as Error;
    expect(() => weights.floats('b', [1])).toThrow(refused(/lacks the tensor "b"/, 'b'));
    expect(() => weights.floats('a', [3, 2])).toThrow(refused(/Expected torch.FloatStorage \[3, 2\]/, 'a'));
    expect(() => weights.floats('a', [6])).toThrow(refused(/is torch.FloatStorage \[2, 3\]/, 'a'));
    expect(() => weights.floats('count', [])).toThrow(refused(/is torch.LongStorage \[\]/, 'count'));
    expect(() => weights.passOver('a')).toThrow(refused(/Expected torch.LongStorage/, 'a'));
    expect(() => weights.floats('nan', [2, 3])).toThrow(refused(/not finite/, 'nan'));
    expect(() => weights.assertAllUsed()).toThrow(refused(/2 tensors that are not in this/, 'a'));
  });

  it.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /not a PyTorch file/],
    ['text', Buffer.from('weights'), /not a PyTorch file/],
    ['an older protocol', Buffer.concat([op(0x80, 1), MAGIC.subarray(2)]), /protocol 1/],
    ['another magic number', Buffer.concat([pickle(int(7)), VERSION]), /not a PyTorch file/],
    ['another version', Buffer.concat([MAGIC, pickle(int(1002))]), /format has version 1002/],
    ['a big-endian machine', Buffer.concat([MAGIC, VERSION, system(false)]), /little-endian/],
    ['no description of the machine', Buffer.concat([MAGIC, VERSION, pickle(int(1))]), /little-endian/],
    ['a zip', Buffer.from('PK\x03\x04 and more'), /zip format of PyTorch 1.6/],
    ['a model as a whole', Buffer.concat([HEADER, pickle(global('models', 'Net'))]), /"models.Net"/],
    ['a number in the place of tensors', Buffer.concat([HEADER, pickle(int(1))]), /not a state dict/],
    ['an empty state dict', Buffer.concat([HEADER, stateDict([])]), /not a state dict/],
    [
      'tensors inside of something else',
      Buffer.concat([HEADER, pickle(Buffer.from('}'), text('epoch'), int(3), Buffer.from('s'))]),
      /not a state dict/,
    ],
    [
      'no storages',
      Buffer.concat([HEADER, stateDict([{ name: 'a', key: '1', length: 1, dims: [1] }])]),
      /ends in/,
    ],
    [
      'something after the end',
      Buffer.concat([torchFile([A]), Buffer.alloc(1)]),
      /data after the last storage/,
    ],
    ['a storage cut off', torchFile([A]).subarray(0, -1), /inside a storage/],
  ])('refuses %s', (_, file, message) => refuses(file, message));

  it.each<[string, object, RegExp]>([
    ['reaches beyond its storage', { dims: [7] }, /beyond its storage/],
    ['begins beyond it', { dims: [1], offset: 6 }, /beyond its storage/],
    ['ends beyond it', { dims: [3], offset: 4 }, /beyond its storage/],
    ['is huge', { dims: [2 ** 31 - 1, 2 ** 31 - 1], strides: [2 ** 31 - 1, 1] }, /beyond its storage/],
    ['repeats one element', { dims: [1000, 1000], strides: [0, 0] }, /strides that overlap/],
    ['overlaps itself', { dims: [3, 3], strides: [1, 1] }, /strides that overlap/],
    ['overlaps itself by a bit', { dims: [2, 3], strides: [2, 1] }, /strides that overlap/],
    ['is empty', { dims: [0] }, /is empty/],
  ])('refuses a tensor that %s', (_, description, message) =>
    refuses(described(description), message, { layer: 'a' }),
  );

  it.each<[string, object, RegExp]>([
    ['has a negative offset', { offset: -1 }, /no storage, offset/],
    ['has a negative size', { dims: [-1] }, /no storage, offset/],
    ['has a negative stride', { dims: [2], strides: [-1] }, /no storage, offset/],
    ['has more sizes than strides', { dims: [2, 3], strides: [1] }, /different numbers of sizes and strides/],
    ['has nine dimensions', { dims: Array<number>(9).fill(1) }, /no storage, offset/],
    ['looks at a view', { view: int(1) }, /persistent id/],
    ['has a negative storage', { length: -1 }, /persistent id/],
    ['has another storage than the file', { length: 7 }, /declares 6/],
    ['has a storage that is not there', { key: '2' }, /no tensor uses/],
  ])('refuses a file whose tensor %s', (_, description, message) => refuses(described(description), message));

  it('refuses storages that do not fit together', () => {
    const one = { name: 'a', key: '1', length: 1, dims: [1] };
    const file = (pickled: Buffer, keys: string[], ...storages: Buffer[]) =>
      Buffer.concat([HEADER, pickled, keyList(keys), ...storages]);
    const pickled = stateDict([one]);
    refuses(file(pickled, []), /missing storage/);
    refuses(file(pickled, ['1', '1'], storage([1]), storage([1])), /twice/);
    refuses(file(pickled, ['1', '2'], storage([1]), storage([1])), /no tensor uses/);
    refuses(file(pickled, ['1'], storage([1], 'float', 2 ** 40)), /declares 1099511627776/);
    refuses(file(pickled, ['1'], storage([1], 'float', -1)), /declares -1/);
    refuses(file(stateDict([one, { ...one, name: 'b', kind: 'long' }]), ['1'], storage([1])), /two ways/);
    refuses(file(stateDict([one, { ...one, name: 'b', length: 2 }]), ['1'], storage([1])), /two ways/);
    refuses(Buffer.concat([HEADER, pickled, pickle(int(1))]), /list of storages/);
    refuses(Buffer.concat([HEADER, pickled, pickle(Buffer.from('](K\x01e'))]), /list of storages/);
  });

  it.each<[string, Buffer, RegExp]>([
    ['runs a command', call(global('os', 'system'), tuple(text('true'))), /"os.system"/],
    ['evaluates', call(global('builtins', 'eval'), tuple(text('1'))), /"builtins.eval"/],
    ['names a method of objects', global('constructor', 'constructor'), /"constructor.constructor"/],
    [
      'calls a storage',
      call(global('torch', 'FloatStorage'), tuple()),
      /names "torch.FloatStorage"|not a function/,
    ],
    ['calls a number', call(int(1), tuple()), /not a function/],
    ['calls without a tuple', call(global('collections', 'OrderedDict'), int(1)), /not a tuple/],
    [
      'fills a dictionary by arguments',
      call(global('collections', 'OrderedDict'), tuple(int(1))),
      /with arguments/,
    ],
    ['has the opcode of a class (INST)', Buffer.from('(ios\nsystem\n'), /opcode 0x69/],
    ['has the opcode NEWOBJ', op(0x81), /opcode 0x81/],
    ['has the opcode STACK_GLOBAL', op(0x93), /opcode 0x93/],
    ['has the opcode of extensions (EXT1)', op(0x82, 1), /opcode 0x82/],
    ['has the opcode of floats', Buffer.from('G'), /opcode 0x47/],
    ['has an opcode that there is not', op(0xff), /opcode 0xff/],
    ['recalls what was never there', op(0x68, 5), /missing value/],
    ['pops from nothing', Buffer.from('R'), /missing value/],
    ['takes what is under a mark', Buffer.concat([int(1), Buffer.from('(0Q')]), /opcode 0x30/],
    ['reaches under a mark', Buffer.concat([int(1), Buffer.from('(\x85')]), /opcode|missing value/],
    ['has no mark', Buffer.from('t'), /lacks a mark/],
    ['leaves two values', Buffer.concat([int(1), int(1)]), /more than one value/],
    ['leaves a mark', Buffer.concat([Buffer.from('('), int(1)]), /more than one value/],
    ['leaves nothing', Buffer.alloc(0), /more than one value/],
    ['sets items of a number', Buffer.concat([int(1), Buffer.from('(u')]), /not a dictionary/],
    ['appends to a dictionary', Buffer.from('}(e'), /not a list/],
    [
      'has a key without a value',
      Buffer.concat([Buffer.from('}('), int(1), Buffer.from('u')]),
      /without a value/,
    ],
    ['has a list for a key', Buffer.from('}]]s'), /neither a string nor a number/],
    ['has a text of four gigabytes', op(0x58, 0xff, 0xff, 0xff, 0xff), /a string has 4294967295 bytes/],
    ['has an integer of 255 bytes', op(0x8a, 255), /an integer has 255 bytes/],
    ['has a name without an end', Buffer.from('ccollections'), /no end|middle/],
    ['has a persistent id that is a text', Buffer.concat([text('x'), Buffer.from('Q')]), /persistent id/],
  ])('executes nothing and refuses a pickle that %s', (_, body, message) =>
    refuses(Buffer.concat([HEADER, pickle(body)]), message),
  );

  it('refuses persistent ids in the header', () => {
    refuses(pickle(int(1), Buffer.from('Q')), /in an unexpected place/);
  });

  it('ends with a code wherever a file is cut off', () => {
    const file = torchFile([A, COUNT]);
    for (let length = 0; length < file.length; length++) refuses(file.subarray(0, length), /./);
  });

  it('reads or refuses a file with any byte changed, and never fails otherwise', () => {
    const file = torchFile([A, COUNT]);
    for (let at = 0; at < file.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(file);
        changed[at] ^= change;
        try {
          StateDict.parse(changed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'MODEL_IMPORT_FAILED' });
        }
      }
    }
  });
});
