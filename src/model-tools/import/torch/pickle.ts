import { quote } from '../hdf5-file';
import { importError } from '../import-error';

/** A dictionary, including `collections.OrderedDict`. */
type PickleDict = Map<string | number, PickleValue>;

/** A class or a function by name. It is only compared, never resolved. */
export class PickleGlobal {
  constructor(
    /** Module and name, with a dot between. */
    readonly name: string,
  ) {}
}

/** Any value in a state dict. Tuples and lists are arrays; `object` is the result of a function of the caller. */
export type PickleValue =
  null | boolean | number | bigint | string | PickleValue[] | PickleDict | PickleGlobal | object;

/** Allowed calls of a file. Everything else is refused, and nothing is ever executed. */
export interface PickleCalls {
  /** Function for each callable global, by full name; others are refused. */
  functions: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>>;
  /** Globals that may be named but not called. */
  names: ReadonlySet<string>;
  /** Resolves a persistent id. */
  persistent: (id: PickleValue) => PickleValue;
}

/** Longest string: names of tensors are far shorter. */
const MAX_TEXT_BYTES = 4096;
/** Longest integer: the magic number of PyTorch has 10 bytes. */
const MAX_INTEGER_BYTES = 16;
/** Version of the pickle protocol that PyTorch writes. */
const PROTOCOL = 2;

/** Opcodes that a state dict needs, by their byte. @see python/cpython@v3.12.0:Lib/pickletools.py */
const OPCODES: Readonly<Record<number, keyof typeof OPERATIONS>> = {
  0x80: 'PROTO',
  0x28: 'MARK',
  0x29: 'EMPTY_TUPLE',
  0x4a: 'BININT',
  0x4b: 'BININT1',
  0x4d: 'BININT2',
  0x4e: 'NONE',
  0x51: 'BINPERSID',
  0x52: 'REDUCE',
  0x58: 'BINUNICODE',
  0x5d: 'EMPTY_LIST',
  0x61: 'APPEND',
  0x62: 'BUILD',
  0x63: 'GLOBAL',
  0x65: 'APPENDS',
  0x68: 'BINGET',
  0x6a: 'LONG_BINGET',
  0x71: 'BINPUT',
  0x72: 'LONG_BINPUT',
  0x73: 'SETITEM',
  0x74: 'TUPLE',
  0x75: 'SETITEMS',
  0x7d: 'EMPTY_DICT',
  0x85: 'TUPLE1',
  0x86: 'TUPLE2',
  0x87: 'TUPLE3',
  0x88: 'NEWTRUE',
  0x89: 'NEWFALSE',
  0x8a: 'LONG1',
};
const STOP = 0x2e;

const OPERATIONS = {
  PROTO: (machine: Machine) => {
    const version = machine.byte();
    if (version !== PROTOCOL) throw damaged(`its pickle has protocol ${version} instead of ${PROTOCOL}`);
  },
  MARK: (machine: Machine) => machine.mark(),
  EMPTY_TUPLE: (machine: Machine) => machine.push([]),
  EMPTY_LIST: (machine: Machine) => machine.push([]),
  EMPTY_DICT: (machine: Machine) => machine.push(new Map()),
  NONE: (machine: Machine) => machine.push(null),
  NEWTRUE: (machine: Machine) => machine.push(true),
  NEWFALSE: (machine: Machine) => machine.push(false),
  BININT: (machine: Machine) => machine.push(machine.bytes(4).readInt32LE()),
  BININT1: (machine: Machine) => machine.push(machine.byte()),
  BININT2: (machine: Machine) => machine.push(machine.bytes(2).readUInt16LE()),
  LONG1: (machine: Machine) => {
    const length = machine.byte();
    if (length > MAX_INTEGER_BYTES) throw damaged(`an integer has ${length} bytes`);
    machine.push(toInteger(machine.bytes(length)));
  },
  BINUNICODE: (machine: Machine) => {
    const length = machine.bytes(4).readUInt32LE();
    if (length > MAX_TEXT_BYTES) throw damaged(`a string has ${length} bytes`);
    machine.push(machine.bytes(length).toString('utf8'));
  },
  GLOBAL: (machine: Machine) => {
    const name = `${machine.line()}.${machine.line()}`;
    if (!machine.isKnown(name)) {
      throw importError(
        `The file refers to ${quote(name)}, which is not allowed in a state dict, so it is not loaded.`,
      );
    }
    machine.push(new PickleGlobal(name));
  },
  BINPERSID: (machine: Machine) => machine.push(machine.calls.persistent(machine.pop())),
  REDUCE: (machine: Machine) => {
    const args = machine.popList();
    const callee = machine.pop();
    const call = callee instanceof PickleGlobal ? own(machine.calls.functions, callee.name) : undefined;
    if (call == null) throw damaged('it calls a value that is not a function');
    machine.push(call(args));
  },
  // The state of an OrderedDict is the version of each module, which does not affect weights.
  BUILD: (machine: Machine) => {
    machine.pop();
    machine.topDict();
  },
  BINPUT: (machine: Machine) => machine.remember(machine.byte()),
  LONG_BINPUT: (machine: Machine) => machine.remember(machine.bytes(4).readUInt32LE()),
  BINGET: (machine: Machine) => machine.recall(machine.byte()),
  LONG_BINGET: (machine: Machine) => machine.recall(machine.bytes(4).readUInt32LE()),
  TUPLE: (machine: Machine) => machine.push(machine.popToMark()),
  TUPLE1: (machine: Machine) => machine.push(machine.popMany(1)),
  TUPLE2: (machine: Machine) => machine.push(machine.popMany(2)),
  TUPLE3: (machine: Machine) => machine.push(machine.popMany(3)),
  APPEND: (machine: Machine) => {
    const [item] = machine.popMany(1);
    machine.topList().push(item);
  },
  APPENDS: (machine: Machine) => {
    const items = machine.popToMark();
    const list = machine.topList();
    for (const item of items) list.push(item);
  },
  SETITEM: (machine: Machine) => setItems(machine.popMany(2), machine.topDict()),
  SETITEMS: (machine: Machine) => setItems(machine.popToMark(), machine.topDict()),
} as const satisfies Record<string, (machine: Machine) => void>;

/**
 * Reads one pickle, limited to the data of a state dict. There are no imports, no calls except to the given functions,
 * and memory is proportional to the bytes read.
 *
 * @returns the value, and the position after it.
 * @throws {FaceError} MODEL_IMPORT_FAILED naming the unknown opcode or global, or the damage.
 */
export function readPickle(
  file: Buffer,
  start: number,
  calls: PickleCalls,
): { value: PickleValue; end: number } {
  const machine = new Machine(file, start, calls);
  for (;;) {
    const opcode = machine.byte();
    if (opcode === STOP) return { value: machine.result(), end: machine.position };
    if (!Object.hasOwn(OPCODES, opcode)) {
      const hex = `0x${opcode.toString(16).padStart(2, '0')}`;
      throw importError(
        `The file has the pickle opcode ${hex}, which is not allowed in a state dict, so it is not loaded.`,
      );
    }
    OPERATIONS[OPCODES[opcode]](machine);
  }
}

/** Stack, marks and memo of one pickle, with every access checked. */
class Machine {
  private readonly stack: PickleValue[] = [];
  /** Stack heights at the marks. Nothing below the last one can be popped before the mark. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();

  constructor(
    private readonly file: Buffer,
    public position: number,
    readonly calls: PickleCalls,
  ) {}

  byte(): number {
    return this.bytes(1)[0];
  }

  bytes(length: number): Buffer {
    const end = this.position + length;
    if (end > this.file.length) throw damaged('it ends inside a pickle');
    const bytes = this.file.subarray(this.position, end);
    this.position = end;
    return bytes;
  }

  line(): string {
    const end = this.file.indexOf(0x0a, this.position);
    if (end < 0 || end - this.position > MAX_TEXT_BYTES) throw damaged('a name in its pickle has no end');
    const line = this.bytes(end - this.position).toString('utf8');
    this.position++;
    return line;
  }

  isKnown(name: string): boolean {
    return this.calls.names.has(name) || Object.hasOwn(this.calls.functions, name);
  }

  push(value: PickleValue): void {
    this.stack.push(value);
  }

  pop(): PickleValue {
    return this.popMany(1)[0];
  }

  popMany(count: number): PickleValue[] {
    if (this.stack.length - count < (this.marks.at(-1) ?? 0))
      throw damaged('its pickle reads a missing value');
    return this.stack.splice(this.stack.length - count);
  }

  popList(): PickleValue[] {
    const value = this.pop();
    if (!Array.isArray(value)) throw damaged('the arguments of a call are not a tuple');
    return value;
  }

  mark(): void {
    this.marks.push(this.stack.length);
  }

  popToMark(): PickleValue[] {
    const height = this.marks.pop();
    if (height == null) throw damaged('its pickle lacks a mark');
    return this.stack.splice(height);
  }

  topList(): PickleValue[] {
    const top = this.top();
    if (!Array.isArray(top)) throw damaged('it appends to a value that is not a list');
    return top;
  }

  topDict(): PickleDict {
    const top = this.top();
    if (!(top instanceof Map)) throw damaged('it sets items of a value that is not a dictionary');
    return top as PickleDict;
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.memo.has(index)) throw damaged('its pickle reads a missing value');
    this.push(this.memo.get(index) as PickleValue);
  }

  result(): PickleValue {
    if (this.stack.length !== 1 || this.marks.length > 0)
      throw damaged('its pickle leaves more than one value');
    return this.stack[0];
  }

  private top(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw damaged('its pickle reads a missing value');
    return this.stack[this.stack.length - 1];
  }
}

function setItems(items: readonly PickleValue[], dict: PickleDict): void {
  if (items.length % 2 !== 0) throw damaged('a dictionary has a key without a value');
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i];
    if (typeof key !== 'string' && typeof key !== 'number') {
      throw damaged('a dictionary has a key that is neither a string nor a number');
    }
    dict.set(key, items[i + 1]);
  }
}

/** Little-endian, two's complement; a number if exact, otherwise a bigint. */
function toInteger(bytes: Buffer): number | bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  const signed = BigInt.asIntN(bytes.length * 8, value);
  const number = Number(signed);
  return Number.isSafeInteger(number) ? number : signed;
}

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** MODEL_IMPORT_FAILED for data that PyTorch does not write. */
export function damaged(problem: string) {
  return importError(`The weights file is damaged: ${problem}.`);
}
