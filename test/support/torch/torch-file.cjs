/*
 * Files as `torch.save(model.state_dict())` wrote them before PyTorch 1.6, byte by byte: apart from the reader under test,
 * and as parts, so that tests can make wrong ones.
 */

const text = (value) => {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([Buffer.from('X'), length, bytes]);
};
const int = (value) => {
  const bytes = Buffer.alloc(5, 'J');
  bytes.writeInt32LE(value, 1);
  return bytes;
};
const op = (...codes) => Buffer.from(codes);
const global = (module, name) => Buffer.from(`c${module}\n${name}\n`);
const tuple = (...items) => Buffer.concat([Buffer.from('('), ...items, Buffer.from('t')]);
const call = (callee, args) => Buffer.concat([callee, args, Buffer.from('R')]);
const pickle = (...parts) => Buffer.concat([op(0x80, 2), ...parts, Buffer.from('.')]);

const NONE = Buffer.from('N');
const MARK = Buffer.from('(');
const ORDERED_DICT = call(global('collections', 'OrderedDict'), Buffer.from(')'));
const STORAGES = { float: 'FloatStorage', long: 'LongStorage' };
const BYTES = { float: 4, long: 8 };

const MAGIC = pickle(op(0x8a, 10), Buffer.from('6cfc9c46f9206aa85019', 'hex'));
const VERSION = pickle(Buffer.from('M\xe9\x03', 'latin1'));
const system = (littleEndian) =>
  pickle(
    Buffer.from('}('),
    text('protocol_version'),
    Buffer.from('M\xe9\x03', 'latin1'),
    text('little_endian'),
    op(littleEndian ? 0x88 : 0x89),
    Buffer.from('u'),
  );

/** Strides of a tensor whose elements lie row after row. */
function rowMajor(dims) {
  const strides = dims.map(() => 1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * dims[i + 1];
  return strides;
}

/** The pickled tensor: { kind, key, length, offset, dims, strides }. */
function tensor({ kind = 'float', key, length, offset = 0, dims, strides = rowMajor(dims), view = NONE }) {
  const id = tuple(
    text('storage'),
    global('torch', STORAGES[kind]),
    text(key),
    text('cpu'),
    int(length),
    view,
  );
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple(
      Buffer.concat([id, Buffer.from('Q')]),
      int(offset),
      tuple(...dims.map(int)),
      tuple(...strides.map(int)),
      op(0x89),
      ORDERED_DICT,
    ),
  );
}

/** The pickle of named tensors, with the attribute `_metadata` that PyTorch gives them. */
function stateDict(tensors) {
  return pickle(
    ORDERED_DICT,
    MARK,
    ...tensors.flatMap((each) => [text(each.name), tensor(each)]),
    Buffer.from('u'),
    Buffer.from('}'),
    text('_metadata'),
    ORDERED_DICT,
    Buffer.from('sb'),
  );
}

const keyList = (keys) => pickle(Buffer.from(']('), ...keys.map(text), Buffer.from('e'));

/** A storage: its length, then its elements. */
function storage(values, kind = 'float', length = values.length) {
  const bytes = Buffer.alloc(8 + values.length * BYTES[kind]);
  bytes.writeBigInt64LE(BigInt(length));
  values.forEach((value, i) => {
    if (kind === 'float') bytes.writeFloatLE(value, 8 + i * 4);
    else bytes.writeBigInt64LE(BigInt(value), 8 + i * 8);
  });
  return bytes;
}

/**
 * A whole file.
 *
 * @param tensors - [{ name, dims, data, kind, offset, strides }]; data are the elements of a storage of its own.
 */
function torchFile(tensors) {
  const described = tensors.map((each, i) => ({
    key: String(90_000 + i),
    length: each.data.length,
    ...each,
  }));
  return Buffer.concat([
    MAGIC,
    VERSION,
    system(true),
    stateDict(described),
    keyList(described.map(({ key }) => key)),
    ...described.map(({ data, kind }) => storage([...data], kind)),
  ]);
}

module.exports = {
  MAGIC,
  VERSION,
  system,
  stateDict,
  tensor,
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
};
