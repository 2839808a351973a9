import type { Command } from 'commander';
import { decimal, integer } from './options';
import { createProgram } from './program';

const DAY_MS = 86_400_000;
const DIGEST = 'ab'.repeat(32);

/** Options of a command, as its action would receive them. */
function optionsOf(line: readonly string[]): Record<string, unknown> {
  const program = createProgram();
  let options: Record<string, unknown> = {};
  const replaceActions = (command: Command): void => {
    for (const sub of command.commands) replaceActions(sub);
    if (command.commands.length === 0) command.action(() => void (options = command.opts()));
  };
  replaceActions(program);
  program.parse(line, { from: 'user' });
  return options;
}

/** Code and message of Commander's refusal. */
function refusalOf(line: readonly string[]): { code: string; message: string } {
  try {
    optionsOf(line);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('The command line was accepted.');
}

describe(decimal.name, () => {
  it.each([
    ['0', 0],
    ['2', 2],
    ['0.25', 0.25],
    ['1e-3', 0.001],
    ['.5', 0.5],
  ])('reads %j', (text, value) => {
    expect(decimal(0, 2)(text)).toBe(value);
  });

  it.each(['', ' ', 'x', '1x', '1,5', 'NaN', 'Infinity', '-0.01', '2.01'])('refuses %j', (text) => {
    expect(() => decimal(0, 2)(text)).toThrow('[0, 2]');
  });

  it('has no upper bound unless one is set', () => {
    expect(decimal(0)('1e9')).toBe(1e9);
    for (const text of ['-1', 'Infinity', ''])
      expect(() => decimal(0)(text)).toThrow('Expected a number of at least 0.');
  });
});

describe(integer.name, () => {
  it.each([
    ['1', 1],
    ['100', 100],
    ['007', 7],
  ])('reads %j', (text, value) => {
    expect(integer(1, 100)(text)).toBe(value);
  });

  it.each(['', ' 1', '0', '101', '-1', '+1', '1.0', '1e1', '0x1', 'x'])('refuses %j', (text) => {
    expect(() => integer(1, 100)(text)).toThrow('[1, 100]');
  });
});

describe('options of commands', () => {
  it.each<[string[], object]>([
    [['detect', 'a.jpg'], { autoRotate: true }],
    [['detect', 'a.jpg', '--no-auto-rotate', '--draw', 'b.PNG'], { autoRotate: false, draw: 'b.PNG' }],
    [
      ['detect', 'a.jpg', '--min-detection-score', '1', '--max-faces', '3', '--min-face-size', '20.5'],
      { minDetectionScore: 1, maxFaces: 3, minFaceSize: 20.5 },
    ],
    [['analyze', 'a.jpg', '--attributes', 'age, gender,age'], { attributes: ['age', 'gender'] }],
    [['represent', 'a.jpg', '--no-align', '--json'], { align: false, json: true }],
    [['detect', 'a.jpg', '-', 'photos', '--concurrency', '16'], { concurrency: 16 }],
    [
      ['analyze', '-', '--server', 'http://localhost:3000', '--api-key', 'k'],
      { server: 'http://localhost:3000', apiKey: 'k' },
    ],
    [
      ['verify', '--pairs', 'p.csv', '--format', 'jsonl', '--out', 'r.jsonl'],
      { pairs: 'p.csv', format: 'jsonl', out: 'r.jsonl' },
    ],
    [['serve', '--port', '0', '--host', '::1'], { port: 0, host: '::1' }],
    [
      ['verify', 'a.jpg', 'b.jpg', '--metric', 'euclidean', '--threshold', '0.5'],
      { metric: 'euclidean', threshold: 0.5 },
    ],
    [['identify', 'a.jpg', '--limit', '100', '--filter', '{"a":1}'], { limit: 100, filter: '{"a":1}' }],
    [
      ['keys', 'create', 'door', '--scopes', 'verify, verify'],
      { scopes: ['verify'], thresholds: true, distances: true },
    ],
    [
      ['keys', 'create', 'door', '--scopes', 'verify', '--galleries', 'a,b', '--no-distances'],
      { galleries: ['a', 'b'], distances: false },
    ],
    [['calibrate', '--set', 'a=x/{person}.jpg', '--set', 'b=y'], { set: ['a=x/{person}.jpg', 'b=y'] }],
  ])('%j', (line, expected) => {
    expect(optionsOf(line)).toMatchObject(expected);
  });

  it('reads days from now, and a time, as when a key expires', () => {
    const expires = (when: string) =>
      optionsOf(['keys', 'create', 'door', '--scopes', 'verify', '--expires', when]).expires as string;
    expect(expires('2999-01-31T00:00:00+01:00')).toBe('2999-01-30T23:00:00.000Z');
    const before = Date.now();
    const time = Date.parse(expires('90d')) - 90 * DAY_MS;
    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(Date.now());
  });

  it.each<[string[], string]>([
    [['detect', 'a.jpg', '--min-detection-score', '1.5'], '--min-detection-score'],
    [['detect', 'a.jpg', '--max-faces', '0'], '--max-faces'],
    [['detect', 'a.jpg', '--min-face-size', '-1'], '--min-face-size'],
    [['detect', 'a.jpg', '--face-selection', 'some'], '--face-selection'],
    [['detect', 'a.jpg', '--whole-image', 'sometimes'], '--whole-image'],
    [['detect', 'a.jpg', '--draw', 'b.jpg'], '--draw'],
    [['analyze', 'a.jpg', '--attributes', 'age,height'], '--attributes'],
    [['analyze', 'a.jpg', '--attributes', ''], '--attributes'],
    [['analyze', 'a.jpg', '--presentation-attack', 'maybe'], '--presentation-attack'],
    [['verify', 'a.jpg', 'b.jpg', '--metric', 'manhattan'], '--metric'],
    [['verify', 'a.jpg', 'b.jpg', '--threshold', '-0.1'], '--threshold'],
    [['verify', 'a.jpg', 'b.jpg', '--target-fmr', '0'], '--target-fmr'],
    [['verify', '--pairs', 'p.csv', '--format', 'xml'], '--format'],
    [['detect', 'a.jpg', '--concurrency', '0'], '--concurrency'],
    [['serve', '--port', '65536'], '--port'],
    [['serve', '--port', 'http'], '--port'],
    [['identify', 'a.jpg', '--limit', '101'], '--limit'],
    [['identify', 'a.jpg', '--threshold', '2.1'], '--threshold'],
    [['identify', 'a.jpg', '--filter', '{a:1}'], '--filter'],
    [['keys', 'create', 'door', '--scopes', 'verify,everything'], '--scopes'],
    [['keys', 'create', 'door', '--scopes', ''], '--scopes'],
    [['keys', 'create', 'door', '--scopes', 'verify', '--galleries', 'a b'], '--galleries'],
    [['keys', 'create', 'door', '--scopes', 'verify', '--requests-per-minute', '0'], '--requests-per-minute'],
    [['keys', 'create', 'door', '--scopes', 'verify', '--expires', 'soon'], '--expires'],
    [['keys', 'create', 'door', '--scopes', 'verify', '--expires', '0d'], '--expires'],
    [['keys', 'create', 'door', '--scopes', 'verify', '--expires', '3651d'], '--expires'],
    [['keys', 'create', 'door', '--scopes', 'verify', '--expires', '2001-01-01T00:00:00Z'], '--expires'],
    [['keys', 'create', 'a door', '--scopes', 'verify'], 'name'],
    [['models', 'pull', 'x.onnx', '--sha256', `${DIGEST}0`], '--sha256'],
    [['models', 'load', 'x', '--idle-ttl-ms', '-1'], '--idle-ttl-ms'],
    [['models', 'import', 'unknown-architecture', 'x.h5'], 'architecture'],
    [['gallery', 'import', 'photos', '--batch', '0'], '--batch'],
    [['gallery', 'import', 'photos', '--face-selection', 'all'], '--face-selection'],
    [['gallery', 'import', 'photos', '--gate', 'wide'], '--gate'],
  ])('%j is refused, and the option named', (line, option) => {
    const { code, message } = refusalOf(line);
    expect(code).toBe('commander.invalidArgument');
    expect(message).toContain(option);
  });

  it.each<[string[], string, string]>([
    [['detect'], 'commander.missingArgument', 'image'],
    [['represent'], 'commander.missingArgument', 'image'],
    [['verify', 'a.jpg', 'b.jpg', 'c.jpg'], 'commander.excessArguments', 'verify'],
    [['detect', 'a.jpg', '--treshold', '1'], 'commander.unknownOption', '--treshold'],
    [['detect', 'a.jpg', '--max-faces'], 'commander.optionMissingArgument', '--max-faces'],
    [['keys', 'create', 'door'], 'commander.missingMandatoryOptionValue', '--scopes'],
    [['calibrate'], 'commander.missingMandatoryOptionValue', '--set'],
    [['detct', 'a.jpg'], 'commander.unknownCommand', 'detct'],
  ])('%j ends with %s', (line, code, name) => {
    const refusal = refusalOf(line);
    expect(refusal.code).toBe(code);
    expect(refusal.message).toContain(name);
  });
});
